/// What the kernel knows of this process, read when it is asked for.
enum ProcessMetrics {
    static func text() -> String {
        guard let status = TextFile.read("/proc/self/status") else { return "" }
        var text = ""
        for (field, name) in [
            ("VmRSS:", "process_resident_memory_bytes"), ("RssAnon:", "process_anonymous_memory_bytes"),
        ] {
            guard let line = status.split(separator: "\n").first(where: { $0.hasPrefix(field) }),
                let kibibytes = Int(line.split { $0 == " " || $0 == "\t" }.dropFirst().first ?? "")
            else { continue }
            text += "# TYPE \(name) gauge\n\(name) \(kibibytes * 1_024)\n"
        }
        return text
    }
}
