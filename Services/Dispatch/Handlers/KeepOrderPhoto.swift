import HTTPTypes
import Metrics
import Model
import Outbox
import Pictures
import Postgres
import ServiceKit

/// Takes a crew's photo of its work in: whose order → is it known → our own pictures of it → row. Like a step, a photo
/// needs no If-Match and may come as late as the phone can send it.
struct KeepOrderPhoto: Sendable {
    struct Kept: Sendable {
        var photo: OrderPhoto
        /// It had been sent before; nothing was done again.
        var isReplay: Bool
    }

    let transacting: Transacting
    let pictures: PictureTaker

    /// Throws a `Problem` (404) unless the order is, or was, one of the account's crew.
    func order(_ order: WorkOrder.ID, of account: Account.ID) async throws -> OwnOrder {
        let rows = try await transacting.database.query(OwnOrder.find(order, of: account), scope: .none)
        guard let row = rows.first else { throw Problem.notFound("The order", zh: "工单") }
        return try OwnOrder(row)
    }

    /// The photo if the order has it already, without decoding anything.
    func known(_ about: OrderPhoto.About, source: String, in order: OwnOrder) async throws -> OrderPhoto? {
        let rows = try await transacting.database.query(OrderPhotoStore.all(of: order.orderID), scope: order.scope)
        return try Self.find(about, source: source, among: try rows.map { try OrderPhoto($0) })
    }

    /// Writes the row, after the files are safe, with the answer under the idempotency key.
    /// - Parameter picture: nil for a photo that is known.
    func write(
        _ picture: TakenPicture?, _ about: OrderPhoto.About, source: String, field: String, order: OwnOrder,
        account: Account.ID, claim: SQL, complete: (Kept) throws -> SQL
    ) async throws -> Kept {
        let kept = try await transacting.decide(scope: order.scope) { transaction in
            let now = transacting.sources.now()
            let insert = picture.map {
                OrderPhotoStore.insert(
                    $0, about, of: order, by: account, receivedAt: now,
                    shownAs: EventRecord.ID(transacting.sources.randomUUID(now)))
            }
            let rows = try await transaction.send(
                [claim, OrderPhotoStore.lock(order.orderID)] + (insert.map { [$0] } ?? [])
                    + [OrderPhotoStore.all(of: order.orderID)])
            let photos = try (rows.last.map { Array($0) } ?? []).map { try OrderPhoto($0) }
            guard
                let photo = try Self.find(about, source: source, among: photos)
                    ?? photos.first(where: { $0.sha256 == picture?.full.sha256 })
            else {
                // The id is another order's, or the place is.
                throw photos.count < OrderPhotoStore.perOrder
                    ? Self.idTaken : PhotoProblem.tooMany(field, limit: OrderPhotoStore.perOrder)
            }
            let kept = Kept(photo: photo, isReplay: insert == nil || rows[2].isEmpty)
            try await transaction.commit([try complete(kept)])
            return (kept, [])
        }
        if !kept.isReplay {
            transacting.live.signal()
            Counter(label: "sluice_order_photos_kept_total").increment()
        }
        return kept
    }

    /// The same id must mean the same bytes; the same bytes are one photo, whatever the id.
    private static func find(
        _ about: OrderPhoto.About, source: String, among photos: [OrderPhoto]
    ) throws -> OrderPhoto? {
        if let same = photos.first(where: { $0.about.id == about.id }) {
            guard same.sourceSHA256 == source else { throw idTaken }
            return same
        }
        return photos.first { $0.sourceSHA256 == source }
    }

    private static let idTaken = Problem(
        .conflict, code: "id_taken", "Another photo has this id. Make a new one.", zh: "该标识已用于另一张照片，请换用新的标识。",
        fields: [FieldError("id", code: "taken", "Another photo has this id.", zh: "该标识已用于另一张照片。")])
}
