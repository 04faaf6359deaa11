//! Which file system a path is on, read from the text of `/proc/self/mountinfo`. A pure function of its arguments.
//!
//! The format is `man 5 proc_pid_mountinfo`: `36 35 98:0 /root /mount/point options [optional …] - type source options`;
//! space, tab, newline and backslash in the mount point are written as three octal digits.

use std::path::Path;

const NETWORK: &[&str] = &[
    "nfs",
    "nfs4",
    "cifs",
    "smb3",
    "smbfs",
    "9p",
    "afs",
    "ceph",
    "glusterfs",
    "lustre",
    "gpfs",
    "beegfs",
    "ncpfs",
    "ocfs2",
    "gfs2",
    "fuse.sshfs",
    "fuse.glusterfs",
    "fuse.s3fs",
    "fuse.rclone",
    "fuse.goofys",
    "fuse.juicefs",
    "fuse.gcsfuse",
    "fuse.ceph",
    "fuse.davfs",
    "davfs",
];

/// The type of the network file system that holds `path` (absolute and without symbolic links), if it is one.
pub(super) fn network_file_system<'m>(mountinfo: &'m str, path: &Path) -> Option<&'m str> {
    let mut best: Option<(usize, &str)> = None;
    for line in mountinfo.lines() {
        let Some((mount, rest)) = line.split_once(" - ") else {
            continue;
        };
        let (Some(point), Some(kind)) = (mount.split(' ').nth(4), rest.split(' ').next()) else {
            continue;
        };
        let point = unescape(point);
        // A later line covers an earlier one with the same mount point.
        if path.starts_with(&point) && best.is_none_or(|(length, _)| point.len() >= length) {
            best = Some((point.len(), kind));
        }
    }
    best.map(|(_, kind)| kind).filter(|kind| NETWORK.contains(kind))
}

fn unescape(point: &str) -> String {
    let mut text = String::with_capacity(point.len());
    let mut rest = point;
    while let Some(at) = rest.find('\\') {
        text.push_str(&rest[..at]);
        match rest
            .get(at + 1..at + 4)
            .and_then(|octal| u8::from_str_radix(octal, 8).ok())
        {
            Some(byte) => {
                text.push(char::from(byte));
                rest = &rest[at + 4..];
            }
            None => {
                text.push('\\');
                rest = &rest[at + 1..];
            }
        }
    }
    text.push_str(rest);
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    const MOUNTS: &str = "\
22 1 254:0 / / rw,relatime shared:1 - ext4 /dev/vda rw
30 22 0:25 / /home rw - nfs4 server:/home rw
31 30 254:1 / /home/ann/local\\040disk rw - xfs /dev/vdb rw
32 22 0:30 / /mnt/z rw - fuse.sshfs ann@host: rw
33 22 0:31 / /mnt/over rw - nfs server:/a rw
34 22 0:32 / /mnt/over rw - tmpfs tmpfs rw
";

    #[test]
    fn the_deepest_mount_decides() {
        let kind = |path: &str| network_file_system(MOUNTS, Path::new(path));
        assert_eq!(kind("/var/project/state.db"), None);
        assert_eq!(kind("/home/ann/project/state.db"), Some("nfs4"));
        assert_eq!(kind("/home/ann/local disk/state.db"), None);
        assert_eq!(kind("/homeless/state.db"), None);
        assert_eq!(kind("/mnt/z/state.db"), Some("fuse.sshfs"));
        assert_eq!(kind("/mnt/over/state.db"), None);
        assert_eq!(network_file_system("nonsense\n- -\n", Path::new("/a")), None);
    }
}
