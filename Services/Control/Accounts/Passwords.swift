internal import FoundationEssentials
internal import IntakeService
internal import Model
internal import ServiceKit

/// Passwords as intake keeps them, and where the ones of this command line come from.
enum Passwords {
    static func hash(_ password: String) async throws -> String {
        try await PasswordThread().hash(password, salt: Sources.system.randomBytes(16)).text
    }

    /// The first line of a file, or of standard input if the path is `-`: a password on the command line would be seen by
    /// everybody who lists processes.
    static func read(_ path: String) throws -> String {
        if path == "-" {
            guard let line = readLine(strippingNewline: true), !line.isEmpty else {
                throw CommandFailure("standard input has no password in its first line")
            }
            return line
        }
        guard let line = SettingsReader.firstLine(of: path) else {
            throw CommandFailure("\(path) cannot be read or has no password in its first line")
        }
        return line
    }

    /// 120 bits, in groups that can be read out.
    static func generate() -> String {
        let letters = Array("abcdefghijkmnpqrstuvwxyz23456789")
        let picked = Sources.system.randomBytes(24).map { letters[Int($0) % letters.count] }
        return stride(from: 0, to: picked.count, by: 6).map { String(picked[$0..<($0 + 6)]) }.joined(separator: "-")
    }
}
