import HTTPTypes
public import Hummingbird
import NIOCore

/// A JSON body as it came, and what it says.
public struct JSONBody {
    /// Exactly what was sent; the idempotency fingerprint covers it.
    public let bytes: [UInt8]
    private let node: JSONNode

    /// Reads the text: UTF-8, depth, duplicates. Throws a `Problem` (400).
    public init(_ bytes: [UInt8]) throws(Problem) {
        self.bytes = bytes
        self.node = try JSONReader.read(bytes)
    }

    /// Decodes it. Throws a `Problem` (422) with the path of the field at fault, or of every field that is unknown.
    public func decode<T: Decodable>(_ type: T.Type = T.self) throws(Problem) -> T {
        try JSONNodeDecoder.decode(type, from: node)
    }
}

extension Request {
    /// The default bound of a JSON body: 1 MiB.
    public static let jsonLimit = 1 << 20

    /// Reads and decodes a JSON body strictly. Throws a `Problem`: 415 for another content type, 413 over `limit` bytes,
    /// 400 for what is not JSON (broken UTF-8, nesting over 32 levels, duplicate names), 422 for fields that are missing,
    /// unknown or of the wrong type.
    // Inlined into a handler, this crashes the optimiser of Swift 6.3.1 in release builds ("splitting coroutine").
    @inline(never)
    public func json<T: Decodable>(_ type: T.Type = T.self, limit: Int = jsonLimit) async throws -> T {
        try await jsonBody(limit: limit).decode(type)
    }

    /// The same in two steps, for handlers that need the bytes as well (for the idempotency fingerprint).
    public func jsonBody(limit: Int = jsonLimit) async throws -> JSONBody {
        try requireContentType(["application/json"]) { $0 == "application/json" || $0.hasSuffix("+json") }
        return try JSONBody(try await bytes(limit: limit))
    }

    /// The whole body. Throws a `Problem` (413) over `limit` bytes.
    public func bytes(limit: Int) async throws -> [UInt8] {
        if let length = headers[.contentLength].flatMap({ Int($0) }), length > limit {
            throw Problem.tooLarge(limit: limit)
        }
        var bytes: [UInt8] = []
        var passed = 0
        for try await buffer in body {
            passed += buffer.readableBytes
            // Read on for a while, and keep nothing: the client may listen only when it has sent all (``UnreadBody``).
            if passed > limit + UnreadBody.limit { break }
            if passed <= limit { bytes.append(contentsOf: buffer.readableBytesView) }
        }
        guard passed <= limit else { throw Problem.tooLarge(limit: limit) }
        return bytes
    }

    /// Throws a `Problem` (415) unless `accepts` takes the media type, which comes in lower case without parameters.
    /// A charset other than UTF-8 is refused too.
    public func requireContentType(_ allowed: [String], _ accepts: (String) -> Bool) throws(Problem) {
        let parts = (headers[.contentType] ?? "").split(separator: ";").map {
            $0.trimmingBlanks().lowercased()
        }
        let charsets = parts.dropFirst().filter { $0.hasPrefix("charset=") }
        guard let type = parts.first, accepts(type),
            charsets.allSatisfy({ $0 == "charset=utf-8" || $0 == "charset=\"utf-8\"" || $0 == "charset=utf8" })
        else { throw .unsupportedMediaType(allowed: allowed) }
    }
}

extension StringProtocol {
    func trimmingBlanks() -> String {
        var text = Substring(self)
        while let last = text.last, last == " " || last == "\t" { text.removeLast() }
        return String(text.drop { $0 == " " || $0 == "\t" })
    }
}
