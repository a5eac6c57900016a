internal import IntakeService

/// Makes passwords into what the account table stores, as intake does.
enum Passwords {
    static func hash(_ password: String) async throws -> String {
        var random = SystemRandomNumberGenerator()
        let salt = (0..<16).map { _ in UInt8.random(in: .min ... .max, using: &random) }
        return try await PasswordThread().hash(password, salt: salt).text
    }
}
