import HTTPTypes
public import Hummingbird
public import Logging
import NIOCore
public import ServiceKit

/// How a picture is shown: only what we encoded ourselves, and so that no browser takes it for anything else.
public struct PictureAnswer: Sendable {
    public enum Size: String, CaseIterable, Sendable { case full, thumbnail }

    /// What `?size=` may say.
    public static let sizeParameter = Operation.Parameter.query("size", .word(Size.self))

    private let blobs: any BlobStore

    public init(from blobs: any BlobStore) { self.blobs = blobs }

    /// Throws a `Problem` (404) if the file is missing, and says so in the log.
    public func show(_ sha256: String, logger: Logger) async throws -> Response {
        guard let bytes = try await blobs.read(sha256) else {
            logger.error("a file of the attachment store is missing", metadata: ["sha256": "\(sha256)"])
            throw Problem.notFound("The photo", zh: "该照片")
        }
        return Response(status: .ok, headers: Self.headers(sha256), body: .init(byteBuffer: ByteBuffer(bytes: bytes)))
    }

    /// The content never changes under its name, but who may see it does: only the browser keeps it, and for an hour.
    private static func headers(_ name: String) -> HTTPFields {
        var headers: HTTPFields = [
            .contentType: "image/jpeg", .cacheControl: "private, max-age=3600, immutable",
            .contentDisposition: "inline; filename=\"\(name.prefix(16)).jpg\"", .eTag: "\"\(name)\"",
        ]
        headers[.contentSecurityPolicy] = "default-src 'none'; sandbox"
        headers[.crossOriginResourcePolicy] = "same-origin"
        headers[.referrerPolicy] = "no-referrer"
        return headers
    }
}

extension HTTPField.Name {
    // Well-formed literals, so the initialiser cannot answer nil.
    static let crossOriginResourcePolicy = Self("Cross-Origin-Resource-Policy")!
    static let referrerPolicy = Self("Referrer-Policy")!
}
