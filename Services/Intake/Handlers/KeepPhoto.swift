import FoundationEssentials
import HTTPTypes
import Logging
import Metrics
import Model
import ServiceKit

/// Takes a photo of a report in: what is it → is it bearable → make our own pictures of it → files → rows.
struct KeepPhoto: Sendable {
    /// Declared pixels, before anybody decodes them.
    static let pixelLimit = 50_000_000

    let attachments: AttachmentStore
    let blobs: any BlobStore
    let workshop: PictureWorkshop
    /// Minutes east of UTC that a camera's clock shows if it does not say.
    let zoneMinutes: Int
    let logger: Logger

    /// - Parameter field: what errors name: the part's name.
    func keep(
        _ file: UploadFile, field: String, of report: Report.ID, in district: District.ID, now: Timestamp
    ) async throws -> AttachmentStore.Stored {
        let sourceSHA256 = file.sha256
        let known = try await attachments.known(sourceSHA256, of: report, in: district)
        if let stored = known.stored { return stored }
        if known.count >= AttachmentStore.perReport { throw PhotoProblem.tooMany(field) }

        let (header, facts) = try await look(at: file, field: field)
        let pictures: PictureWorkshop.Pictures
        do {
            pictures = try await workshop.makePictures(from: file)
        } catch PictureWorkshop.Failure.notDecodable {
            throw PhotoProblem.broken(field)
        } catch PictureWorkshop.Failure.unavailable {
            logger.error("libvips-tools, util-linux or coreutils are missing: photos cannot be taken")
            throw Problem.unavailable(retryAfter: 60)
        } catch is Turnstile.Busy {
            throw Problem.unavailable(retryAfter: 5)
        }
        let record = AttachmentRecord(
            reportID: report, districtID: district, sourceSHA256: sourceSHA256, sourceType: header.format,
            sourceBytes: file.size, full: try await save(pictures.full),
            thumbnail: try await save(pictures.thumbnail), facts: plausible(facts, now: now))
        guard let stored = try await attachments.add(record) else { throw PhotoProblem.tooMany(field) }
        Counter(label: "sluice_photos_kept_total").increment()
        return stored
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

    private func save(_ picture: [UInt8]) async throws -> BlobRecord {
        guard let header = try? PictureHeader(picture) else { throw PictureWorkshop.Failure.notDecodable }
        do {
            let sha256 = try await blobs.store(picture)
            return BlobRecord(sha256: sha256, bytes: picture.count, width: header.width, height: header.height)
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

/// What can be wrong with a photo; each names its field.
enum PhotoProblem {
    static let noRoom = Problem(
        HTTPResponse.Status(code: 507, reasonPhrase: "Insufficient Storage"), code: "storage_full",
        "No room for photos at the moment.", zh: "照片存储空间不足，请稍后再试。")

    static func notAPicture(_ field: String) -> Problem {
        Problem(
            .unsupportedMediaType, code: "not_a_picture", "A photo is wanted: JPEG, PNG, WebP or HEIC, by its content.",
            zh: "应为照片：JPEG、PNG、WebP 或 HEIC（以内容为准）。",
            fields: [
                FieldError(
                    field, code: "not_a_picture", "The content is no picture that is accepted.", zh: "内容不是可接受的图片。",
                    allowed: PictureHeader.Format.allCases.map(\.rawValue))
            ])
    }

    static func broken(_ field: String) -> Problem {
        .invalid(
            field, code: "broken_picture", "The picture is damaged or not complete.", zh: "图片已损坏或不完整。")
    }

    static func tooManyPixels(_ field: String) -> Problem {
        .invalid(
            field, code: "too_many_pixels",
            "A photo may have at most \(KeepPhoto.pixelLimit / 1_000_000) million pixels.",
            zh: "照片最多 \(KeepPhoto.pixelLimit / 10_000) 万像素。")
    }

    static func tooLarge(_ field: String) -> Problem {
        let megabytes = UploadFile.limit / 1_048_576
        return Problem(
            .contentTooLarge, code: "too_large", "A photo may have at most \(megabytes) MiB.",
            zh: "单张照片最多 \(megabytes) MiB。",
            fields: [FieldError(field, code: "too_large", "The photo is too large.", zh: "照片过大。")])
    }

    static func tooMany(_ field: String) -> Problem {
        .invalid(
            field, code: "too_many_photos", "A report may have at most \(AttachmentStore.perReport) photos.",
            zh: "每次上报最多 \(AttachmentStore.perReport) 张照片。")
    }
}
