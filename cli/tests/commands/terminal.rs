//! Colours: on a terminal, and only there, and not against the user's wish.

use std::process::Command;

use crate::support::{Chain, FakeNode, command, finish, on_terminal};
use crate::with;

fn shows_status(chain: &Chain, no_color: Option<&str>) -> Command {
    let mut command = command(&["--testnet", chain.dir.path().to_str().unwrap(), "status"]);
    match no_color {
        Some(value) => command.env("NO_COLOR", value),
        None => command.env_remove("NO_COLOR"),
    };
    command
}

#[test]
fn colours_are_for_terminals_and_no_color_ends_them() {
    let chain = Chain::new();
    let node = FakeNode::start(&chain, |_| None);
    with(&chain, &[&node]);
    let (code, coloured) = on_terminal(shows_status(&chain, None));
    assert!(code == Some(0) && coloured.contains("\x1b[1mprimary\x1b[0m"), "{coloured:?}");
    let (code, plain) = on_terminal(shows_status(&chain, Some("1")));
    assert!(code == Some(0) && plain.contains("primary") && !plain.contains('\x1b'), "{plain:?}");
    let (_, empty) = on_terminal(shows_status(&chain, Some("")));
    assert!(empty.contains('\x1b'), "an empty NO_COLOR is none, as no-color.org says");
    let piped = finish(&mut shows_status(&chain, None));
    assert!(piped.out.contains("primary") && !piped.out.contains('\x1b'), "{piped:?}");
}
