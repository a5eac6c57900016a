import Foundation

/// The plan of a statement as it ran: by the role that ran it, under its scope, with the plan that the connection had
/// chosen. The server itself tells it (auto_explain), so statements inside functions are told as well.
public struct LoggedPlan: Sendable {
    /// One look at a table.
    public struct Read: Sendable {
        public var table: String
        /// `Seq Scan`, `Index Scan` …
        public var way: String
        public var index: String?
        /// Rows that were touched, those that a filter threw away included.
        public var rows: Int
    }

    public var role: String
    public var statement: String
    public var reads: [Read]

    /// Different partitions of tables that were touched.
    public var tables: Set<String> { Set(reads.map(\.table)) }

    /// - Parameter object: what auto_explain writes in its JSON form.
    init?(role: String, object: [String: Any]) {
        guard let statement = object["Query Text"] as? String, let plan = object["Plan"] as? [String: Any] else {
            return nil
        }
        self.role = role
        self.statement = statement.split { $0 == " " || $0 == "\n" }.joined(separator: " ")
        reads = []
        walk(plan)
    }

    private mutating func walk(_ node: [String: Any]) {
        func number(_ name: String) -> Double { (node[name] as? NSNumber)?.doubleValue ?? 0 }
        let loops = number("Actual Loops")
        if let way = node["Node Type"] as? String, way.hasSuffix("Scan"), let table = node["Relation Name"] as? String,
            loops > 0
        {
            let touched = ["Actual Rows", "Rows Removed by Filter", "Rows Removed by Index Recheck"].map(number)
            reads.append(
                Read(
                    table: "\(node["Schema"] as? String ?? "").\(table)", way: way,
                    index: node["Index Name"] as? String,
                    rows: Int(touched.reduce(0, +) * loops)))
        }
        for child in node["Plans"] as? [[String: Any]] ?? [] { walk(child) }
    }
}

/// Reads what auto_explain wrote about one database since it was made.
public struct PlanLog: Sendable {
    /// What the server begins each line with, so that a database's are found.
    static let prefix = "%d %u|"
    /// For a database: every plan of every session, with what it really read.
    static let settings = [
        "session_preload_libraries = 'auto_explain'", "auto_explain.log_min_duration = 0",
        "auto_explain.log_analyze = on", "auto_explain.log_timing = off", "auto_explain.log_verbose = on",
        "auto_explain.log_nested_statements = on", "auto_explain.log_format = json",
    ]

    let file: URL
    let database: String
    let offset: UInt64

    init(file: URL, database: String) throws {
        self.file = file
        self.database = database
        let handle = try FileHandle(forReadingFrom: file)
        defer { try? handle.close() }
        offset = try handle.seekToEnd()
    }

    /// What has run since, in the order of its end.
    public func plans() throws -> [LoggedPlan] {
        let handle = try FileHandle(forReadingFrom: file)
        defer { try? handle.close() }
        try handle.seek(toOffset: offset)
        let text = String(decoding: try handle.readToEnd() ?? Data(), as: UTF8.self)
        var plans: [LoggedPlan] = []
        var entry: (role: String, json: String)?
        func finish() {
            guard let (role, json) = entry.take() else { return }
            let object = try? JSONSerialization.jsonObject(with: Data(json.utf8)) as? [String: Any]
            if let object, let plan = LoggedPlan(role: role, object: object) { plans.append(plan) }
        }
        for line in text.split(separator: "\n") {
            // The lines of a message that goes on begin with a tab.
            if line.hasPrefix("\t") {
                entry?.json += line + "\n"
                continue
            }
            finish()
            let parts = line.split(separator: "|", maxSplits: 1)
            let names = parts[0].split(separator: " ")
            if parts.count == 2, names.count == 2, names[0] == database, parts[1].hasSuffix("plan:") {
                entry = (String(names[1]), "")
            }
        }
        finish()
        return plans
    }
}

extension Collection<LoggedPlan> {
    /// What is wrong with the plans: a big table read from end to end, or far more rows of it read than the statement is
    /// after.
    ///
    /// - Parameters:
    ///   - big: the tables that grow.
    ///   - limit: of the rows that one statement may touch in one table.
    public func faults(big: Set<String>, limit: Int) -> [String] {
        var seen: Set<String> = []
        return flatMap { plan in
            plan.reads.compactMap { read in
                guard big.contains(read.table) else { return nil }
                let isWhole = read.way.hasSuffix("Seq Scan")
                guard isWhole || read.rows > limit else { return nil }
                let how = isWhole ? "reads all of" : "touches \(read.rows) rows of"
                let fault = "\(plan.role) \(how) \(read.table) (\(read.way) \(read.index ?? "")): \(plan.statement)"
                return seen.insert(fault).inserted ? fault : nil
            }
        }
    }
}
