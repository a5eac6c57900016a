internal import FoundationEssentials

/// Reads named settings: the environment wins over the file that SLUICE_CONFIG_FILE names; `NAME_FILE` names a file that
/// holds the value.
struct SettingsReader {
    private let values: [String: String]

    init(environment: [String: String]) throws(SettingsErrors) {
        var values: [String: String] = [:]
        if let path = environment["SLUICE_CONFIG_FILE"], !path.isEmpty {
            guard let text = try? String(contentsOfFile: path, encoding: .utf8) else {
                throw SettingsErrors(["SLUICE_CONFIG_FILE: \(path) cannot be read"])
            }
            values = Self.parse(text)
        }
        values.merge(environment) { _, environment in environment }
        self.values = values
    }

    /// `NAME=value` lines; `#` begins a comment line.
    static func parse(_ text: String) -> [String: String] {
        var values: [String: String] = [:]
        for line in text.split(whereSeparator: \.isNewline) {
            guard line.first != "#", let equals = line.firstIndex(of: "=") else { continue }
            values[String(line[..<equals])] = String(line[line.index(after: equals)...])
        }
        return values
    }

    func text(_ name: String) -> String? {
        values[name].flatMap { $0.isEmpty ? nil : $0 }
    }

    func number(_ name: String, default fallback: Int, in range: ClosedRange<Int>) throws(SettingsErrors) -> Int {
        guard let text = text(name) else { return fallback }
        guard let number = Int(text), range.contains(number) else {
            throw SettingsErrors(["\(name): a number from \(range.lowerBound) to \(range.upperBound)"])
        }
        return number
    }

    /// The value or what the file in `NAME_FILE` holds, without the line's end.
    func secret(_ name: String) throws(SettingsErrors) -> String? {
        if let text = text(name) { return text }
        guard let path = text(name + "_FILE") else { return nil }
        guard let text = Self.firstLine(of: path) else {
            throw SettingsErrors(["\(name)_FILE: \(path) cannot be read or is empty"])
        }
        return text
    }

    func requiredSecret(_ name: String) throws(SettingsErrors) -> String {
        guard let secret = try secret(name) else { throw SettingsErrors(["\(name) or \(name)_FILE: required"]) }
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
