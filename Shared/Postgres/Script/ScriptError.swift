internal import CLibPQ

/// What PostgreSQL said against a script. Without DETAIL, which may hold values.
public struct ScriptError: Error, Sendable, CustomStringConvertible {
    /// The five characters of the SQL state; nil if the connection itself failed.
    public let sqlState: String?
    public let message: String
    /// The line of the script, from 1.
    public let line: Int?

    init(message: String) {
        self.sqlState = nil
        self.message = String(message.trimmingNewlines)
        self.line = nil
    }

    init(result: OpaquePointer, script: String, fallback: String) {
        // libpq's PG_DIAG_* are macros of characters, which Swift does not import.
        func field(_ code: Character) -> String? {
            guard let ascii = code.asciiValue, let text = PQresultErrorField(result, Int32(ascii)) else { return nil }
            return String(cString: text)
        }
        self.sqlState = field("C")
        var text = field("M") ?? String(fallback.trimmingNewlines)
        // A function's own statement, when the fault lies inside one.
        if field("P") == nil, let inner = field("W") { text += " (\(inner.prefix { $0 != "\n" }))" }
        self.message = text
        self.line = field("P").flatMap { Int($0) }.map { position in
            script.unicodeScalars.prefix(position - 1).count { $0 == "\n" } + 1
        }
    }

    public var description: String {
        (line.map { "line \($0): " } ?? "") + message + (sqlState.map { " [\($0)]" } ?? "")
    }
}

extension String {
    fileprivate var trimmingNewlines: Substring {
        var text = self[...]
        while text.last?.isNewline == true { text.removeLast() }
        return text
    }
}
