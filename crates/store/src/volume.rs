//! The kind of file system of a data directory.
//!
//! A database needs locks that exclude other machines, and flushes that reach a disk. Network file systems promise
//! both, but do not guarantee either with every server and option.

use std::path::Path;

/// Network file systems, by their number on Linux.
#[cfg(target_os = "linux")]
const NETWORK: [(u32, &str); 9] = [
    (0x0000_6969, "NFS"),
    (0xff53_4d42, "CIFS"),
    (0xfe53_4d42, "SMB"),
    (0x0000_517b, "SMB"),
    (0x0102_1997, "9P"),
    (0x00c3_6400, "Ceph"),
    (0x0bd0_0bd0, "Lustre"),
    (0x5346_414f, "AFS"),
    (0x6573_5546, "FUSE"),
];

/// The name of the network file system of a directory; absent if it is not a known one. FUSE counts as one, because
/// most FUSE mounts are remote.
pub fn network_file_system(directory: &Path) -> Option<&'static str> {
    #[cfg(target_os = "linux")]
    {
        let [a, b, c, d, ..] = rustix::fs::statfs(directory).ok()?.f_type.to_le_bytes();
        named(u32::from_le_bytes([a, b, c, d]))
    }
    #[cfg(not(target_os = "linux"))]
    {
        let _systems_without_a_number = directory;
        None
    }
}

#[cfg(target_os = "linux")]
fn named(number: u32) -> Option<&'static str> {
    NETWORK.iter().find(|(known, _)| *known == number).map(|(_, name)| *name)
}

#[cfg(all(test, target_os = "linux"))]
mod tests {
    use super::*;

    #[test]
    fn network_file_systems_have_a_name_and_local_ones_do_not() {
        for (number, name) in [
            (0x6969, Some("NFS")),
            (0xff53_4d42, Some("CIFS")),
            (0x6573_5546, Some("FUSE")),
            (0xef53, None),
            (0x5846_5342, None),
            (0x9123_683e, None),
            (0x0102_1994, None),
            (0x794c_7630, None),
        ] {
            assert_eq!(named(number), name, "{number:x}");
        }
        assert_eq!(network_file_system(Path::new("/proc")), None);
        assert_eq!(network_file_system(Path::new("/nowhere/at/all")), None);
    }
}
