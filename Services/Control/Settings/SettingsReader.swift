internal import FoundationEssentials
internal import ServiceKit

/// Reads settings as the services do, by `ConfigurationReader`: one file means the same to both. A command asks for the
/// few that it needs, so each question throws what is wrong with its own.
struct SettingsReader {
    private let environment: [String: String]

    /// Throws for a file that cannot be read, whatever is asked for afterwards.
    init(environment: [String: String]) throws(SettingsErrors) {
        self.environment = environment
        try read { _ in }
    }

    private func read<T>(_ question: (inout ConfigurationReader) -> T) throws(SettingsErrors) -> T {
        var reader = ConfigurationReader(environment: environment)
        let answer = question(&reader)
        guard reader.errors.isEmpty else { throw SettingsErrors(reader.errors.map { "\($0.name): \($0.detail)" }) }
        return answer
    }

    /// The value, or what the file in `NAME_FILE` holds; nil if it is not set or empty.
    func text(_ name: String) throws(SettingsErrors) -> String? { try read { $0.optional(name) } }

    func number(_ name: String, default fallback: Int, in range: ClosedRange<Int>) throws(SettingsErrors) -> Int {
        try read { $0.integer(name, default: fallback, range) }
    }

    /// An http or https address, without the slash at its end.
    func origin(_ name: String, default fallback: String) throws(SettingsErrors) -> String {
        try read { $0.origin(name, default: fallback) }
    }

    /// `host:port,host:port`
    func hosts(_ name: String, default fallback: String) throws(SettingsErrors) -> [(host: String, port: Int)] {
        try read { $0.hosts(name, default: fallback) }
    }

    func requiredSecret(_ name: String) throws(SettingsErrors) -> String {
        guard let secret = try text(name) else { throw SettingsErrors(["\(name) or \(name)_FILE: required"]) }
        return secret
    }

    static func firstLine(of path: String) -> String? {
        guard let text = try? String(contentsOfFile: path, encoding: .utf8) else { return nil }
        return text.split(whereSeparator: \.isNewline).first.map(String.init)
    }
}

/// What is wrong with the settings; names and what is allowed, never values of secrets.
struct SettingsErrors: Error, CustomStringConvertible {
    var problems: [String]

    init(_ problems: [String]) {
        self.problems = problems
    }

    var description: String {
        (["settings that sluicectl cannot work with:"] + problems.map { "  " + $0 }).joined(separator: "\n")
    }
}
