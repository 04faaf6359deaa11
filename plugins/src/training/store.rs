//! Where artifacts lie: `models/<asset>/<hash>.json` in the state folder.

use std::fs::{self, File};
use std::io;
use std::path::Path;

use assets::AssetKey;
use assets::outcome::Failure;
use sha2::{Digest, Sha256};

use crate::models::Artifact;
use crate::step_run::of_io;

/// Length of the hash in a file's name.
const NAME_DIGITS: usize = 16;

/// Saves an artifact; its path from the state folder and its hash. Content decides the name, so nothing is ever overwritten with
/// something else.
pub(super) fn save(artifact: &Artifact, state_folder: &Path, asset: &AssetKey) -> Result<(String, String), Failure> {
    let hash = hex::encode(Sha256::digest(artifact.to_bytes()));
    let folder = format!("models/{asset}");
    let absolute = state_folder.join(&folder);
    durable_folder(&absolute, state_folder)
        .map_err(|error| of_io(&format!("create the folder {}", absolute.display()), &error))?;
    let name = format!("{}.json", &hash[..NAME_DIGITS]);
    artifact.save(&absolute.join(&name)).map_err(|error| error.failure())?;
    Ok((format!("{folder}/{name}"), hash))
}

/// Creates a folder in `root` so that it is still there after a crash.
fn durable_folder(folder: &Path, root: &Path) -> io::Result<()> {
    if folder.is_dir() {
        return Ok(());
    }
    fs::create_dir_all(folder)?;
    for parent in folder.ancestors().skip(1).take_while(|parent| parent.starts_with(root)) {
        File::open(parent)?.sync_all()?;
    }
    Ok(())
}
