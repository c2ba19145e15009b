//! What runs did, in numbers.
//!
//! Promises: a sum over runs says whether they met what they should meet. Never: a judgement.

/// What a run did.
#[derive(Copy, Clone, Debug, Default)]
pub struct Report {
    /// Commands finished.
    pub commands: u64,
    /// Commands refused.
    pub refused: u64,
    /// Crashes.
    pub crashes: u64,
    /// Clean shutdowns.
    pub closes: u64,
    /// Segments that GC freed.
    pub segments_freed: u64,
    /// Cold reads.
    pub cold_reads: u64,
    /// Checkpoints written beside commands.
    pub checkpoints: u64,
    /// Starts that used one.
    pub checkpoints_used: u64,
    /// Values that a hot-set list brought back.
    pub warmed: u64,
    /// Changes of the mode in the middle of a life.
    pub switches: u64,
    /// Databases in which audits found trees.
    pub trees: u64,
    /// Their nodes.
    pub tree_nodes: u64,
    /// Delta records appended.
    pub deltas: u64,
    /// Nodes that had deltas in a crash.
    pub delta_nodes_crashed: u64,
    /// Audits that met keys answering an error.
    pub told: u64,
}

impl Report {
    /// Adds what another run did.
    pub fn add(&mut self, one: &Report) {
        self.commands += one.commands;
        self.refused += one.refused;
        self.crashes += one.crashes;
        self.closes += one.closes;
        self.segments_freed += one.segments_freed;
        self.cold_reads += one.cold_reads;
        self.checkpoints += one.checkpoints;
        self.checkpoints_used += one.checkpoints_used;
        self.warmed += one.warmed;
        self.switches += one.switches;
        self.trees += one.trees;
        self.tree_nodes += one.tree_nodes;
        self.deltas += one.deltas;
        self.delta_nodes_crashed += one.delta_nodes_crashed;
        self.told += one.told;
    }
}
