public import HTTPTypes
public import Hummingbird

/// The version of a thing as HTTP shows it: `"7"`.
public struct ETag: Sendable, Hashable {
    public let version: Int

    public init(_ version: Int) { self.version = version }

    public var text: String { "\"\(version)\"" }
}

extension HTTPFields {
    /// Headers that carry the version of what is returned.
    public static func version(_ version: Int) -> HTTPFields { [.eTag: ETag(version).text] }
}

extension Request {
    /// The version that a decision is based on. Throws a `Problem`: 428 if the header is missing, 422 if it is not one
    /// strong ETag as we give them out.
    public func ifMatch() throws(Problem) -> Int {
        guard let text = headers[.ifMatch] else { throw .preconditionRequired }
        let trimmed = text.trimmingBlanks()
        guard trimmed.count > 2, trimmed.hasPrefix("\""), trimmed.hasSuffix("\""),
            let version = Int(trimmed.dropFirst().dropLast()), version >= 0
        else {
            throw .invalid(
                "If-Match", code: "etag", "One ETag as it was read is wanted, such as \"7\".",
                zh: "应提供读取到的 ETag，例如 \"7\"。")
        }
        return version
    }

    /// The same, and a `Problem` (412) that tells the present version unless it is `current`.
    public func requireMatch(_ current: Int) throws(Problem) {
        guard try ifMatch() == current else { throw .preconditionFailed(current: current) }
    }

    /// Does `If-None-Match` name this version, so that 304 is enough?
    public func isUnchanged(_ version: Int) -> Bool {
        guard let text = headers[.ifNoneMatch] else { return false }
        let wanted = ETag(version).text
        return text.split(separator: ",").contains {
            let tag = $0.trimmingBlanks()
            return tag == "*" || tag == wanted || tag == "W/" + wanted
        }
    }
}
