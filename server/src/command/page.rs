//! docs/COMMANDS.md, made of the command table.
//!
//! Promises: every command and subcommand that the server knows, group by group, in the order of their names. Never: a word that
//! the table does not say.

use std::fmt::Write;

use super::row::Group;
use super::table::{self, Command};

/// The groups, in the order of the page.
const GROUPS: [Group; 10] = [
    Group::String,
    Group::Hash,
    Group::List,
    Group::Set,
    Group::SortedSet,
    Group::Bitmap,
    Group::Generic,
    Group::Transactions,
    Group::Connection,
    Group::Server,
];

/// The whole page.
pub fn page() -> String {
    let commands: Vec<&Command> = table::every().map(|id| id.command()).collect();
    let mut page = format!(
        "# Commands\n\nMade of the command table (`THERMOCLINE_WRITE_DOCS=1 cargo test -p thermocline-server --test promises commands`). \
         {} commands and subcommands; where an answer differs from Redis 7.2 it stands in [COMPATIBILITY.md](COMPATIBILITY.md).\n",
        commands.len()
    );
    for group in GROUPS {
        let rows: Vec<&&Command> = commands.iter().filter(|command| command.row.group == group).collect();
        let _ = write!(
            page,
            "\n## {}\n\n| command | since | arity | flags | cost | answer |\n|---|---|---|---|---|---|\n",
            group.name()
        );
        for command in rows {
            let row = command.row;
            let name = command.full_name.replace('|', " ").to_uppercase();
            let flags: Vec<&str> = row.flags.names().collect();
            let cost = row.complexity.replace('|', "\\|");
            let _ = writeln!(
                page,
                "| `{name}` | {} | {} | {} | {cost} | {} |",
                row.since,
                row.arity,
                flags.join(" "),
                row.reply.name()
            );
        }
    }
    page
}
