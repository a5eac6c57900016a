internal import FoundationEssentials
internal import Glibc
internal import Model
internal import ServiceKit

/// Disk and clock of this machine.
struct MachineChecks: CheckGroup {
    let settings: ControlSettings

    func run() async -> [CheckFinding] {
        let folders = ["SLUICE_ATTACHMENTS_DIR", "SLUICE_SECRETS_DIR"].compactMap { try? settings.reader.text($0) }
        return folders.map(Self.disk)
    }

    private static func disk(_ path: String) -> CheckFinding {
        let check = "machine.disk"
        var facts = statvfs()
        guard statvfs(path, &facts) == 0, facts.f_blocks > 0 else {
            return .bad(check, "\(path) is not there", mend: "make it, or correct the setting")
        }
        let free = Double(facts.f_bavail) * Double(facts.f_frsize) / 1e9
        let share = Double(facts.f_bavail) / Double(facts.f_blocks)
        let fact = "\((free * 10).rounded() / 10) GB free at \(path)"
        if free < 2 { return .bad(check, fact, mend: "below 1 GB the broker stops taking messages: make room") }
        if share < 0.1 { return .doubtful(check, fact, mend: "less than a tenth is free: make room") }
        return .good(check, fact)
    }
}

enum ClockCheck {
    /// Compares a clock with this machine's.
    /// - Parameter seconds: since 1970; nil if it could not be read.
    static func compare(_ check: String, with seconds: Double?, of whose: String) -> CheckFinding {
        guard let seconds else { return .bad(check, "\(whose) clock cannot be read", mend: "look at its log") }
        let ours = Double(Sources.system.now().microseconds) / 1e6
        let difference = abs(seconds - ours)
        let fact = "\(whose) clock and this machine's differ by \((difference * 1000).rounded() / 1000) s"
        if difference > 5 {
            return .bad(
                check, fact, mend: "deadlines and tokens need one time everywhere: run chrony or systemd-timesyncd")
        }
        if difference > 1 { return .doubtful(check, fact, mend: "run chrony or systemd-timesyncd") }
        return .good(check, fact)
    }
}
