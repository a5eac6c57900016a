public import Hummingbird
public import Logging
import NIOCore
public import ServiceKit

/// Reads photos into files as they come in over HTTP: as parts of a multipart body, or one as the body itself.
public struct PhotoReader: Sendable {
    /// What a photo is sent as, by itself or as a part. What it is, its content decides.
    public static let contentTypes = PictureHeader.Format.allCases.map(\.rawValue)

    private let folder: String
    private let queue = BlockingQueue("sluice.uploads", width: 2, capacity: 256)
    private let logger: Logger

    /// - Parameter folder: on the file system of the pictures.
    public init(folder: String, logger: Logger) {
        self.folder = folder
        self.logger = logger
    }

    /// The present part into a file; nil if it is larger than a photo may be (the rest of it is passed over).
    public func read(_ body: inout MultipartBody) async throws -> UploadFile? {
        let file = try await open()
        var isTooLarge = false
        while let piece = try await body.nextPiece() {
            if isTooLarge { continue }
            do { try await append(piece, to: file) } catch is UploadFile.TooLarge { isTooLarge = true }
        }
        return isTooLarge ? nil : file
    }

    /// The whole body as one photo.
    /// - Parameter limit: bytes that are read before the rest is left unread.
    public func read(_ request: Request, limit: Int) async throws -> UploadFile {
        let allowed = ["multipart/form-data"] + Self.contentTypes
        do {
            try request.requireContentType(allowed) { allowed.contains($0) }
        } catch {
            try await pass(request.body, limit: limit)
            throw error
        }
        let file = try await open()
        var isTooLarge = false
        var passed = 0
        for try await buffer in request.body {
            passed += buffer.readableBytes
            if passed > limit { break }
            if isTooLarge { continue }
            do {
                try await append(Array(buffer.readableBytesView), to: file)
            } catch is UploadFile.TooLarge {
                isTooLarge = true
            }
        }
        if isTooLarge { throw PhotoProblem.tooLarge("body") }
        return file
    }

    /// Takes what is still coming and keeps none of it: a client that hears of its mistake only after it has sent
    /// everything would otherwise wait for us to read, and we for it to listen. Up to the size that would have been
    /// accepted.
    public func pass(_ body: RequestBody, limit: Int) async throws {
        var passed = 0
        for try await buffer in body {
            passed += buffer.readableBytes
            if passed > limit { return }
        }
    }

    private func open() async throws -> UploadFile {
        try await storing { try await UploadFile.create(in: folder, queue: queue) }
    }

    private func append(_ bytes: [UInt8], to file: UploadFile) async throws {
        try await storing { try await file.append(bytes) }
    }

    /// A full disk or a full queue is told as such, and is nobody's fault who uploads.
    private func storing<Success: Sendable>(_ work: () async throws -> Success) async throws -> Success {
        do {
            return try await work()
        } catch let error as FileError {
            logger.error("an upload could not be stored", metadata: ["error": "\(error)"])
            throw error.isDiskFull ? PhotoProblem.noRoom : Problem.unavailable()
        } catch is BlockingQueue.Busy {
            throw Problem.unavailable()
        }
    }
}
