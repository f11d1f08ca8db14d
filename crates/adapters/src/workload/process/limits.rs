//! Bounds on memory, CPU and open files of an instance, by the best means this machine gives us.
//!
//! Control groups are used only where they are ours to divide: a group handed to this user, the root of a namespace,
//! or one that the caller names. Elsewhere memory is held by a limit on the data segment and by our own measurement,
//! and CPU is not held at all; [`InForce`] says which.

use std::fmt::{self, Write as _};
use std::fs;
use std::io;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use taxiway_model::service::ProcessLimits;

/// Microseconds over which a share of CPU is granted.
const CPU_PERIOD_US: u64 = 100_000;

/// What holds a limit.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Mechanism {
    /// A control group, version 2.
    CgroupV2,
    /// A control group, version 1.
    CgroupV1,
    /// A resource limit of the process, and the supervisor's measurement.
    Rlimit,
    /// Nothing.
    None,
}

impl fmt::Display for Mechanism {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Self::CgroupV2 => "cgroup v2",
            Self::CgroupV1 => "cgroup v1",
            Self::Rlimit => "rlimit and measurement",
            Self::None => "nothing",
        })
    }
}

/// What holds which limit on this machine.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct InForce {
    /// For memory.
    pub memory: Mechanism,
    /// For CPU.
    pub cpu: Mechanism,
}

/// The groups under which instances get theirs.
#[derive(Debug, Clone, Default)]
pub(super) struct Limiter {
    /// Both controllers.
    v2: Option<PathBuf>,
    v1_memory: Option<PathBuf>,
    v1_cpu: Option<PathBuf>,
}

/// The bounds of one instance as they are about to be put in force.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Confinement {
    pub(super) groups: Vec<PathBuf>,
    pub(super) memory: Mechanism,
    pub(super) cpu: Mechanism,
    limits: ProcessLimits,
}

impl Limiter {
    /// Looks for groups that are ours; `name` is the one made under each, `given` one to use in any case.
    pub(super) fn detect(name: &str, given: Option<&Path>) -> Self {
        let own = fs::read_to_string("/proc/self/cgroup").unwrap_or_default();
        let mounts = fs::read_to_string("/proc/self/mountinfo").unwrap_or_default();
        let mut limiter = Self::default();
        for parent in given.map(Path::to_path_buf).into_iter().chain(v2_parents(&own, &mounts)) {
            let group = parent.join(name);
            if limiter.v2.is_none() && make_v2(&group).is_ok() {
                limiter.v2 = Some(group);
            }
        }
        if limiter.v2.is_none() {
            let make = |controller| {
                let group = v1_parent(&own, &mounts, controller)?.join(name);
                make_directory(&group).ok().map(|()| group)
            };
            limiter.v1_memory = make("memory");
            limiter.v1_cpu = make("cpu");
        }
        // Made again with the first instance that needs them.
        limiter.remove();
        limiter
    }

    pub(super) const fn in_force(&self) -> InForce {
        InForce {
            memory: match (&self.v2, &self.v1_memory) {
                (Some(_), _) => Mechanism::CgroupV2,
                (None, Some(_)) => Mechanism::CgroupV1,
                (None, None) => Mechanism::Rlimit,
            },
            cpu: match (&self.v2, &self.v1_cpu) {
                (Some(_), _) => Mechanism::CgroupV2,
                (None, Some(_)) => Mechanism::CgroupV1,
                (None, None) => Mechanism::None,
            },
        }
    }

    /// Makes the groups of one instance with its limits in them. A group that does not take its limit is not used.
    pub(super) fn confine(&self, instance: &str, limits: &ProcessLimits) -> Confinement {
        let mut made = Confinement {
            groups: Vec::new(),
            memory: if limits.memory_bytes.is_some() { Mechanism::Rlimit } else { Mechanism::None },
            cpu: Mechanism::None,
            limits: limits.clone(),
        };
        let any = limits.memory_bytes.is_some() || limits.cpu_milli.is_some();
        if let Some(group) = self.v2.as_ref().filter(|group| any && make_v2(group).is_ok()) {
            let files = [
                limits.memory_bytes.map(|bytes| ("memory.max", bytes.to_string())),
                limits.cpu_milli.map(|milli| ("cpu.max", format!("{} {CPU_PERIOD_US}", quota_us(milli)))),
            ];
            if made.add(group.join(instance), files.into_iter().flatten()) {
                made.memory = limits.memory_bytes.map_or(Mechanism::None, |_| Mechanism::CgroupV2);
                made.cpu = limits.cpu_milli.map_or(Mechanism::None, |_| Mechanism::CgroupV2);
            }
        }
        if let (Some(group), Some(bytes)) = (&self.v1_memory, limits.memory_bytes)
            && make_directory(group).is_ok()
            && made.add(group.join(instance), [("memory.limit_in_bytes", bytes.to_string())])
        {
            made.memory = Mechanism::CgroupV1;
        }
        if let (Some(group), Some(milli)) = (&self.v1_cpu, limits.cpu_milli) {
            let period = ("cpu.cfs_period_us", CPU_PERIOD_US.to_string());
            let quota = ("cpu.cfs_quota_us", quota_us(milli).to_string());
            if make_directory(group).is_ok() && made.add(group.join(instance), [period, quota]) {
                made.cpu = Mechanism::CgroupV1;
            }
        }
        made
    }

    /// Removes the groups above the instances' own, once those are gone.
    pub(super) fn remove(&self) {
        for group in [&self.v2, &self.v1_memory, &self.v1_cpu].into_iter().flatten() {
            drop(fs::remove_dir(group));
        }
    }
}

/// Microseconds of CPU per period; the kernel refuses less than 1 ms.
const fn quota_us(cpu_milli: u32) -> u64 {
    let quota = cpu_milli as u64 * CPU_PERIOD_US / 1_000;
    if quota < 1_000 { 1_000 } else { quota }
}

impl Confinement {
    /// The bounds of an instance that already runs, from what its record says.
    pub(super) fn adopted(groups: Vec<PathBuf>, limits: &ProcessLimits) -> Self {
        let holds = |file: &str| groups.iter().any(|group| group.join(file).exists());
        let mechanism = |v2: &str, v1: &str, otherwise| match (holds(v2), holds(v1)) {
            (true, _) => Mechanism::CgroupV2,
            (false, true) => Mechanism::CgroupV1,
            (false, false) => otherwise,
        };
        let memory = limits
            .memory_bytes
            .map_or(Mechanism::None, |_| mechanism("memory.max", "memory.limit_in_bytes", Mechanism::Rlimit));
        let cpu = limits
            .cpu_milli
            .map_or(Mechanism::None, |_| mechanism("cpu.max", "cpu.cfs_quota_us", Mechanism::None));
        Self { groups, memory, cpu, limits: limits.clone() }
    }

    fn add<'a>(&mut self, group: PathBuf, files: impl IntoIterator<Item = (&'a str, String)>) -> bool {
        let write = || -> io::Result<()> {
            make_directory(&group)?;
            files.into_iter().try_for_each(|(file, value)| fs::write(group.join(file), value))
        };
        match write() {
            Ok(()) => {
                self.groups.push(group);
                true
            }
            Err(error) => {
                tracing::warn!(group = %group.display(), %error, "this control group takes no limits; it is not used");
                drop(fs::remove_dir(&group));
                false
            }
        }
    }

    /// Shell text that takes the limits on and then becomes the program; `None` when there is nothing to take on.
    pub(super) fn script(&self) -> Option<String> {
        let mut script = String::new();
        for group in &self.groups {
            let procs = group.join("cgroup.procs").display().to_string().replace('\'', r"'\''");
            write!(script, "echo $$ > '{procs}' || exit 125; ").expect("writing to a string cannot fail");
        }
        if let Some(files) = self.limits.open_files {
            // Above the hard limit of this user the hard limit stays, which bounds it too.
            write!(script, "ulimit -n {files} 2>/dev/null; ").expect("writing to a string cannot fail");
        }
        if let (Mechanism::Rlimit, Some(bytes)) = (self.memory, self.limits.memory_bytes) {
            // Private memory that may be written, used or not, in KiB. Stacks and reserves count here although they
            // are not in use, so the ceiling is above the limit; what is resident is measured against the limit.
            let ceiling_kib = (bytes.saturating_add(bytes / 2) >> 10).saturating_add(64 << 10);
            write!(script, "ulimit -d {ceiling_kib} 2>/dev/null; ").expect("writing to a string cannot fail");
        }
        (!script.is_empty()).then(|| script + "exec \"$@\"")
    }

    /// Memory in use as the control group counts it, without file cache that could be given back; `None` without one.
    pub(super) fn memory_bytes(&self) -> Option<u64> {
        let (usage, cache) = match self.memory {
            Mechanism::CgroupV2 => ("memory.current", "inactive_file"),
            Mechanism::CgroupV1 => ("memory.usage_in_bytes", "total_inactive_file"),
            Mechanism::Rlimit | Mechanism::None => return None,
        };
        let group = self.groups.iter().find(|group| group.join(usage).exists())?;
        let used: u64 = fs::read_to_string(group.join(usage)).ok()?.trim().parse().ok()?;
        Some(used.saturating_sub(field(&group.join("memory.stat"), cache).unwrap_or(0)))
    }

    /// Process ids in the instance's own groups.
    pub(super) fn members(&self) -> Vec<i32> {
        let lists =
            self.groups.iter().filter_map(|group| fs::read_to_string(group.join("cgroup.procs")).ok());
        lists.flat_map(|list| list.lines().filter_map(|line| line.parse().ok()).collect::<Vec<_>>()).collect()
    }

    /// How often the kernel ended a process of these groups for want of memory.
    pub(super) fn oom_kills(&self) -> u64 {
        let files = ["memory.events", "memory.oom_control"];
        let counts =
            self.groups.iter().flat_map(|group| files.map(|file| field(&group.join(file), "oom_kill")));
        counts.flatten().sum()
    }

    /// Removes the groups, and those above them with the last instance, which the kernel allows once nothing is left in
    /// them.
    pub(super) fn remove(&self) {
        for group in &self.groups {
            drop(fs::remove_dir(group));
            drop(group.parent().map(fs::remove_dir));
        }
    }
}

fn field(file: &Path, name: &str) -> Option<u64> {
    let text = fs::read_to_string(file).ok()?;
    text.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(' ')?.trim().parse().ok())
}

/// Groups of version 2 that are ours to divide: the root of a namespace, one that already divides memory, or its
/// parent where that was handed to this user (as systemd does with a login session).
fn v2_parents(own: &str, mounts: &str) -> Vec<PathBuf> {
    let Some(path) = own.lines().find_map(|line| line.strip_prefix("0::")) else { return Vec::new() };
    let Some(mount) = mount_point(mounts, "cgroup2", None) else { return Vec::new() };
    let group = mount.join(path.trim_start_matches('/'));
    let mut parents = vec![group.clone()];
    let uid = nix::unistd::geteuid();
    if let Some(parent) = group.parent()
        && !uid.is_root()
        && fs::metadata(parent).is_ok_and(|directory| directory.uid() == uid.as_raw())
    {
        parents.push(parent.to_path_buf());
    }
    parents
}

/// The root of a hierarchy of version 1, when that is where this process is.
fn v1_parent(own: &str, mounts: &str, controller: &str) -> Option<PathBuf> {
    let mut lines = own.lines().map(|line| line.splitn(3, ':').collect::<Vec<_>>());
    let line = lines
        .find(|line| line.get(1).is_some_and(|names| names.split(',').any(|name| name == controller)))?;
    if line.get(2) == Some(&"/") { mount_point(mounts, "cgroup", Some(controller)) } else { None }
}

/// Where a file system of this kind (with this option) is mounted.
fn mount_point(mounts: &str, kind: &str, option: Option<&str>) -> Option<PathBuf> {
    mounts.lines().find_map(|line| {
        let (place, source) = line.split_once(" - ")?;
        let source: Vec<&str> = source.split(' ').collect();
        let has = |option| source.get(2).is_some_and(|options| options.split(',').any(|one| one == option));
        let found = source.first() == Some(&kind) && option.is_none_or(has);
        if found { Some(PathBuf::from(place.split(' ').nth(4)?)) } else { None }
    })
}

fn make_directory(group: &Path) -> io::Result<()> {
    match fs::create_dir(group) {
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => Ok(()),
        other => other,
    }
}

/// Makes a group whose children can have limits.
fn make_v2(group: &Path) -> io::Result<()> {
    let divides = |directory: &Path| {
        let control = fs::read_to_string(directory.join("cgroup.subtree_control"))?;
        let has = |controller| control.split_ascii_whitespace().any(|name| name == controller);
        if has("memory") && has("cpu") {
            return Ok(());
        }
        fs::write(directory.join("cgroup.subtree_control"), "+memory +cpu")
    };
    divides(group.parent().ok_or(io::ErrorKind::NotFound)?)?;
    make_directory(group)?;
    divides(group).inspect_err(|_| drop(fs::remove_dir(group)))
}

#[cfg(test)]
mod tests {
    use super::*;

    const MOUNTS: &str = "\
        34 24 0:29 / /sys/fs/cgroup/unified rw,nosuid - cgroup2 cgroup2 rw\n\
        35 24 0:30 / /sys/fs/cgroup/cpu,cpuacct rw - cgroup cgroup rw,cpu,cpuacct\n\
        36 24 0:31 / /sys/fs/cgroup/memory rw - cgroup cgroup rw,memory\n";

    #[test]
    fn a_group_of_another_is_not_divided() {
        let own = "9:memory:/boxes/17\n4:cpu,cpuacct:/\n0::/\n";
        assert_eq!(v1_parent(own, MOUNTS, "memory"), None);
        assert_eq!(v1_parent(own, MOUNTS, "cpu"), Some(PathBuf::from("/sys/fs/cgroup/cpu,cpuacct")));
        assert_eq!(v2_parents(own, MOUNTS), [PathBuf::from("/sys/fs/cgroup/unified/")]);
    }

    #[test]
    fn without_a_group_memory_is_held_by_an_rlimit_and_cpu_is_not() {
        let limits =
            ProcessLimits { memory_bytes: Some(256 << 20), cpu_milli: Some(500), open_files: Some(64) };
        let made = Limiter::default().confine("v1.0", &limits);
        assert_eq!((made.memory, made.cpu), (Mechanism::Rlimit, Mechanism::None));
        assert_eq!(
            made.script().unwrap(),
            "ulimit -n 64 2>/dev/null; ulimit -d 458752 2>/dev/null; exec \"$@\""
        );
        assert_eq!(Limiter::default().confine("v1.0", &ProcessLimits::default()).script(), None);
    }

    #[test]
    fn a_group_gets_its_limits_before_the_process() {
        let root = std::env::temp_dir().join(format!("taxiway-cgroup-{}", std::process::id()));
        let limiter = Limiter { v2: Some(root.join("taxiway")), ..Limiter::default() };
        for directory in [root.clone(), root.join("taxiway")] {
            fs::create_dir_all(&directory).unwrap();
            fs::write(directory.join("cgroup.subtree_control"), "cpu io memory\n").unwrap();
        }
        let root = root.join("taxiway");
        let limits = ProcessLimits { memory_bytes: Some(1 << 20), cpu_milli: Some(250), open_files: None };
        let made = limiter.confine("v1.0", &limits);
        assert_eq!((made.memory, made.cpu), (Mechanism::CgroupV2, Mechanism::CgroupV2));
        assert_eq!(fs::read_to_string(root.join("v1.0/memory.max")).unwrap(), "1048576");
        assert_eq!(fs::read_to_string(root.join("v1.0/cpu.max")).unwrap(), "25000 100000");
        assert!(made.script().unwrap().starts_with("echo $$ > '"));
        fs::write(root.join("v1.0/memory.events"), "low 0\noom 3\noom_kill 2\n").unwrap();
        assert_eq!(made.oom_kills(), 2);
        fs::write(root.join("v1.0/memory.current"), "9000\n").unwrap();
        fs::write(root.join("v1.0/memory.stat"), "anon 1\ninactive_file 1000\n").unwrap();
        assert_eq!(made.memory_bytes(), Some(8_000));
        fs::remove_dir_all(root.parent().unwrap()).unwrap();
    }
}
