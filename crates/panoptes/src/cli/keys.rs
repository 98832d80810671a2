//! `panoptes keys …`.

use std::path::PathBuf;

use clap::{Args, Subcommand};

use super::Format;

#[derive(Debug, Subcommand)]
pub(crate) enum KeysCommand {
    /// What opens this data folder, which of it this run used, and whether every sealed file fits
    Status {
        #[arg(long, value_enum, default_value_t)]
        format: Format,
    },
    /// Exchange the key that this run uses for a fresh one; no data is rewritten, a running instance goes on
    #[command(
        after_help = "Examples:\n  panoptes keys rotate                                 # the old key is kept as FILE.old\n  panoptes keys rotate --new-key-file /etc/panoptes/key-2\n  panoptes keys rotate --passphrase < words.txt"
    )]
    Rotate(RotateArgs),
    /// Let a further key, passphrase or recovery code open this data folder
    #[command(subcommand)]
    Add(AddCommand),
    /// Take a slot away: what opened it opens this data folder no more
    #[command(after_help = "Example:\n  panoptes keys remove 2")]
    Remove {
        /// Its number, as `panoptes keys status` lists it
        slot: u8,
        /// Even if it is the slot that this run was opened with
        #[arg(long)]
        force: bool,
    },
    /// Print a recovery code for paper: it opens this data folder when every key is lost
    #[command(after_help = "Example:\n  panoptes keys export-recovery | lpr")]
    ExportRecovery,
    /// Open this data folder with its recovery code and write a new key file
    #[command(
        after_help = "Examples:\n  panoptes keys recover                 # asks for the code\n  panoptes keys recover --new-key-file /etc/panoptes/key < code.txt"
    )]
    Recover {
        /// The key file to write; default is the configured one. One that is there already is used as it is
        #[arg(long, value_name = "FILE")]
        new_key_file: Option<PathBuf>,
    },
}

#[derive(Args, Debug)]
pub(crate) struct RotateArgs {
    /// Use the key in this file from now on; it is made if it is not there
    #[arg(long, value_name = "FILE", conflicts_with = "passphrase")]
    pub(crate) new_key_file: Option<PathBuf>,
    /// Use a passphrase from now on: asked for at a terminal, else the first line of standard input
    #[arg(long)]
    pub(crate) passphrase: bool,
}

#[derive(Debug, Subcommand)]
pub(crate) enum AddCommand {
    /// The key in a file, which is made if it is not there
    #[command(after_help = "Example:\n  panoptes keys add key /media/usb/panoptes-key")]
    Key {
        #[arg(value_name = "FILE")]
        path: PathBuf,
    },
    /// A passphrase: asked for at a terminal, else the first line of standard input
    Passphrase,
    /// A recovery code, which is printed (the same as `export-recovery`)
    Recovery,
}
