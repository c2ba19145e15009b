//! docs/COMMANDS.md is what the command table says.
#![expect(clippy::disallowed_methods, reason = "a page of the documentation is no data")]

#[test]
fn the_page_of_commands_is_that_of_the_table() {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../docs/COMMANDS.md");
    let page = thermocline_server::command::page::page();
    if std::env::var_os("THERMOCLINE_WRITE_DOCS").is_some() {
        std::fs::write(path, &page).expect("docs can be written");
    }
    let written = std::fs::read_to_string(path).expect("docs/COMMANDS.md is there");
    assert!(written == page, "docs/COMMANDS.md is old; its second line says how to write it anew");
}
