//! Collections against std's, over nodes of the real sizes. The tests are in `model/`, and run in the crate itself too,
//! over tiny nodes.

mod model;
