//! `quorate completions`.

use clap::Args;
use clap_complete::Shell;

/// Print the completions of a shell.
#[derive(Clone, Debug, Args)]
#[command(
    after_help = "Examples:\n  quorate completions bash > ~/.local/share/bash-completion/completions/quorate\n  \
                        quorate completions zsh > ~/.zfunc/_quorate\n  \
                        quorate completions fish > ~/.config/fish/completions/quorate.fish"
)]
pub struct Completions {
    /// The shell
    #[arg(value_enum, value_name = "SHELL")]
    pub shell: Shell,
}
