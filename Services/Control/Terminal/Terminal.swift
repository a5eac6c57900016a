internal import ArgumentParser
internal import FoundationEssentials
internal import Glibc

/// Standard output is for results; standard error for what is meanwhile going on.
enum Terminal {
    static func line(_ text: String) {
        write(text + "\n", to: STDOUT_FILENO)
    }

    static func note(_ text: String) {
        write(text + "\n", to: STDERR_FILENO)
    }

    static func error(_ text: String) {
        note(text.hasPrefix("Error:") ? text : "Error: \(text)")
    }

    static var isWatched: Bool { isatty(STDERR_FILENO) == 1 }

    static func write(_ text: String, to descriptor: Int32) {
        var rest = Array(text.utf8)[...]
        while !rest.isEmpty {
            let written = rest.withUnsafeBytes { Glibc.write(descriptor, $0.baseAddress, $0.count) }
            // A reader that went away (`| head`) is no reason to go on or to complain.
            guard written > 0 else { return }
            rest = rest.dropFirst(written)
        }
    }
}

/// Options that every command has.
struct OutputOptions: ParsableArguments {
    @Flag(help: "Print the result as JSON.")
    var json = false

    @Flag(help: "Show progress even where standard error is no terminal.")
    var progress = false

    /// Prints the value as JSON or the text.
    func show(_ value: some Encodable, _ text: @autoclosure () -> String) throws {
        guard json else {
            let text = text()
            if !text.isEmpty { Terminal.line(text) }
            return
        }
        let encoder = JSONEncoder()
        // As the API writes its fields.
        encoder.keyEncodingStrategy = .convertToSnakeCase
        encoder.outputFormatting = [.sortedKeys, .prettyPrinted, .withoutEscapingSlashes]
        Terminal.line(String(decoding: try encoder.encode(value), as: UTF8.self))
    }

    func bar(_ title: String, total: Int) -> ProgressBar {
        ProgressBar(title, total: total, shown: progress || Terminal.isWatched)
    }
}
