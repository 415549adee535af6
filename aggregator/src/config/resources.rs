//! Which use of CPU and memory is aimed at: of a `MeshAutoscaler` alone, for only a cluster tells it.

/// What pods use.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ResourceKind {
    /// Thousandths of a core.
    Cpu,
    /// Bytes.
    Memory,
}

impl ResourceKind {
    /// Both.
    pub const ALL: [Self; 2] = [Self::Cpu, Self::Memory];

    /// As the API server calls it; the signal has the same name.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Cpu => "cpu",
            Self::Memory => "memory",
        }
    }
}

/// Mean use aimed at, in per cent of what the pods request; 1 to 10,000. `None` looks at none.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct ResourceTargets {
    /// Of CPU.
    pub cpu: Option<u32>,
    /// Of memory.
    pub memory: Option<u32>,
}

impl ResourceTargets {
    /// That of a resource.
    pub const fn of(&self, kind: ResourceKind) -> Option<u32> {
        match kind {
            ResourceKind::Cpu => self.cpu,
            ResourceKind::Memory => self.memory,
        }
    }

    /// Whether any is set.
    pub const fn is_any(&self) -> bool {
        self.cpu.is_some() || self.memory.is_some()
    }
}
