internal import FoundationEssentials

/// Finds out what kind of file a storm is in.
enum StormFile {
    /// - Parameters:
    ///   - script: nil is the shipped storm.
    ///   - reports: only the first so many.
    static func load(script: String?, routine: String?, reports: Int?) throws -> StormScript {
        var storm = try script.map { try read($0, over: 7200) } ?? shipped()
        if let routine { storm = storm.merged(with: try read(routine, over: storm.duration)) }
        if let reports { storm.lines = Array(storm.lines.prefix(reports)) }
        guard !storm.lines.isEmpty else { throw CommandFailure("the storm has no report") }
        return storm
    }

    private static func shipped() throws -> StormScript {
        try StormScript(title: "the shipped storm (made up)", csv: SampleFiles.text("storm.csv"))
    }

    private static func read(_ path: String, over duration: Double) throws -> StormScript {
        guard let text = try? String(contentsOfFile: path, encoding: .utf8) else {
            throw CommandFailure("\(path) cannot be read")
        }
        let table = CSVTable(text)
        if NorfolkStorm.isOne(table) { return try NorfolkStorm.read(table) }
        if BostonRequests.isOne(table) { return try BostonRequests.read(table, over: duration) }
        let name = path.split(separator: "/").last.map(String.init) ?? path
        return try StormScript(title: name, csv: text)
    }
}
