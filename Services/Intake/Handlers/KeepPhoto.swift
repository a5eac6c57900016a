import Metrics
import Model
import Pictures
import ServiceKit

/// Takes a photo of a report in: is it known → our own pictures of it → rows.
struct KeepPhoto: Sendable {
    let attachments: AttachmentStore
    let pictures: PictureTaker

    /// - Parameters:
    ///   - field: what errors name: the part's name.
    ///   - patience: how long to wait for a turn to make our pictures; without end if nil.
    func keep(
        _ file: UploadFile, field: String, of report: Report.ID, in district: District.ID, now: Timestamp,
        patience: Duration? = nil
    ) async throws -> AttachmentStore.Stored {
        let known = try await attachments.known(file.sha256, of: report, in: district)
        if let stored = known.stored { return stored }
        if known.count >= AttachmentStore.perReport { throw Self.tooMany(field) }
        let picture = try await pictures.take(file, field: field, now: now, patience: patience)
        guard let stored = try await attachments.add(picture, to: report, in: district) else {
            throw Self.tooMany(field)
        }
        Counter(label: "sluice_photos_kept_total").increment()
        return stored
    }

    static func tooMany(_ field: String) -> Problem { PhotoProblem.tooMany(field, limit: AttachmentStore.perReport) }
}
