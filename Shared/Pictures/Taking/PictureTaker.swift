public import Logging
public import Model
import ServiceKit

/// One of our own encodings, as it lies in the store.
public struct StoredPicture: Sendable, Hashable {
    public var sha256: String
    public var bytes: Int
    public var width: Int
    public var height: Int
}

/// A photo that was taken in: what came, our pictures of it, which are stored, and what the camera wrote.
public struct TakenPicture: Sendable {
    /// Of the bytes that came, so that the same photo sent again is known.
    public var sourceSHA256: String
    public var sourceType: PictureHeader.Format
    public var sourceBytes: Int
    public var full: StoredPicture
    public var thumbnail: StoredPicture
    public var facts: CameraFacts
}

/// Takes a photo in: what is it → is it bearable → make our own pictures of it → files. The rows are the caller's.
public struct PictureTaker: Sendable {
    /// Declared pixels, before anybody decodes them.
    public static let pixelLimit = 50_000_000

    private let blobs: any BlobStore
    private let workshop: PictureWorkshop
    private let zoneMinutes: Int
    private let logger: Logger

    /// - Parameter zoneMinutes: minutes east of UTC that a camera's clock shows if it does not say.
    public init(
        blobs: any BlobStore, zoneMinutes: Int, logger: Logger, workshop: PictureWorkshop = PictureWorkshop()
    ) {
        self.blobs = blobs
        self.workshop = workshop
        self.zoneMinutes = zoneMinutes
        self.logger = logger
    }

    /// Throws a `Problem`: one that names the field for what is wrong with the photo, 503 or 507 for what is wrong with
    /// us.
    /// - Parameters:
    ///   - field: what errors name: the part's name.
    ///   - patience: how long to wait for a turn; without end if nil.
    public func take(
        _ file: UploadFile, field: String, now: Timestamp, patience: Duration? = nil
    ) async throws -> TakenPicture {
        let (header, facts) = try await look(at: file, field: field)
        let pictures: PictureWorkshop.Pictures
        do {
            pictures = try await workshop.makePictures(from: file, patience: patience)
        } catch PictureWorkshop.Failure.notDecodable {
            throw PhotoProblem.broken(field)
        } catch PictureWorkshop.Failure.unavailable {
            logger.error("libvips-tools, util-linux or coreutils are missing: photos cannot be taken")
            throw Problem.unavailable(retryAfter: 60)
        } catch PictureWorkshop.Failure.late {
            logger.warning("a photo was not done in time: the machine is busy with other work")
            throw Problem.unavailable(retryAfter: 30)
        } catch is Turnstile.Busy {
            throw Problem.unavailable(retryAfter: 5)
        }
        return TakenPicture(
            sourceSHA256: file.sha256, sourceType: header.format, sourceBytes: file.size,
            full: try await save(pictures.full), thumbnail: try await save(pictures.thumbnail),
            facts: plausible(facts, now: now))
    }

    private func look(at file: UploadFile, field: String) async throws -> (PictureHeader, CameraFacts) {
        let bytes = try await file.readAll()
        let header: PictureHeader
        do {
            header = try PictureHeader(bytes)
        } catch .notAPicture {
            throw PhotoProblem.notAPicture(field)
        } catch .broken {
            throw PhotoProblem.broken(field)
        }
        guard header.width <= Self.pixelLimit, header.height <= Self.pixelLimit, header.pixels <= Self.pixelLimit else {
            throw PhotoProblem.tooManyPixels(field)
        }
        return (header, CameraFacts(of: bytes, format: header.format, zoneMinutes: zoneMinutes))
    }

    private func save(_ picture: [UInt8]) async throws -> StoredPicture {
        guard let header = try? PictureHeader(picture) else { throw PictureWorkshop.Failure.notDecodable }
        do {
            let sha256 = try await blobs.store(picture)
            return StoredPicture(sha256: sha256, bytes: picture.count, width: header.width, height: header.height)
        } catch let error as FileError {
            logger.error("a picture could not be stored", metadata: ["error": "\(error)"])
            throw error.isDiskFull ? PhotoProblem.noRoom : Problem.unavailable()
        } catch is BlockingQueue.Busy {
            throw Problem.unavailable()
        }
    }

    /// A camera that claims the future or the last century is not believed.
    private func plausible(_ facts: CameraFacts, now: Timestamp) -> CameraFacts {
        var facts = facts
        if let taken = facts.takenAt, taken > now + .seconds(86_400) || taken.microseconds < 946_684_800_000_000 {
            facts.takenAt = nil
        }
        return facts
    }
}
