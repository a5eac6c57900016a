import FoundationEssentials
import Model
import Outbox
import Pictures
import Postgres

/// A photo of the work: a row of `dispatch.order_attachment`.
struct OrderPhoto: Sendable, Hashable {
    typealias ID = Identifier<OrderPhoto>

    enum Kind: String, Codable, Sendable, CaseIterable { case before, during, after }

    /// What its crew says of it.
    struct About: Sendable, Hashable {
        /// Made by the phone.
        var id: ID
        var kind: Kind
        /// By the phone's clock.
        var observedAt: Timestamp
    }

    var about: About
    var orderID: WorkOrder.ID
    var sourceSHA256: String
    var sha256: String
    var thumbnailSHA256: String
    var contentType: String
    var bytes: Int
    var width: Int
    var height: Int
    var receivedAt: Timestamp
    /// What the camera wrote.
    var takenAt: Timestamp?
    var lon: Double?
    var lat: Double?
}

/// An order of a crew's, also one that is done, and in a district that the crew is no longer lent to.
struct OwnOrder: Sendable {
    var orderID: WorkOrder.ID
    var crewID: Crew.ID
    var districtID: District.ID

    var scope: DistrictScope { .districts([districtID.rawValue]) }

    static func find(_ order: WorkOrder.ID, of account: Account.ID) -> SQL {
        "SELECT order_id, crew_id, district_id FROM dispatch.own_order(\(account), \(order))"
    }

    init(_ row: Row) throws {
        orderID = try row.decode("order_id")
        crewID = try row.decode("crew_id")
        districtID = try row.decode("district_id")
    }
}

/// The statements on `dispatch.order_attachment`.
enum OrderPhotoStore {
    static let perOrder = 24

    private static let columns: SQL = """
        attachment_id, kind, observed_at, order_id, source_sha256, sha256, thumbnail_sha256, content_type, bytes, width,
        height, received_at, taken_at, lon, lat
        """

    /// The photos of one order, in the order in which they were taken.
    static func all(of order: WorkOrder.ID) -> SQL {
        """
        SELECT \(columns) FROM dispatch.order_attachment
        WHERE order_id = \(order)
        ORDER BY observed_at, attachment_id
        """
    }

    /// Photos of one order come at the same time; their number is looked at under this lock.
    static func lock(_ order: WorkOrder.ID) -> SQL {
        "SELECT pg_advisory_xact_lock(hashtextextended('dispatch.order_attachment ' || \(order.description), 0))"
    }

    /// After the files are safe. Answers with a row if it was new, which the live stream then shows.
    static func insert(
        _ picture: TakenPicture, _ about: OrderPhoto.About, of order: OwnOrder, by account: Account.ID,
        receivedAt: Timestamp, shownAs liveID: EventRecord.ID
    ) -> SQL {
        """
        WITH kept AS (
            INSERT INTO dispatch.order_attachment (
                attachment_id, order_id, district_id, crew_id, account_id, kind, observed_at, received_at, source_sha256,
                source_type, source_bytes, sha256, thumbnail_sha256, content_type, bytes, width, height, taken_at, lon, lat)
            SELECT \(about.id), \(order.orderID), \(order.districtID), \(order.crewID), \(account), \(about.kind.rawValue),
                   \(about.observedAt), \(receivedAt), \(picture.sourceSHA256), \(picture.sourceType.rawValue),
                   \(picture.sourceBytes), \(picture.full.sha256), \(picture.thumbnail.sha256), 'image/jpeg',
                   \(picture.full.bytes), \(picture.full.width), \(picture.full.height), \(picture.facts.takenAt),
                   \(picture.facts.place?.lon), \(picture.facts.place?.lat)
            WHERE (SELECT count(*) FROM dispatch.order_attachment WHERE order_id = \(order.orderID)) < \(perOrder)
            ON CONFLICT DO NOTHING
            RETURNING attachment_id, order_id, district_id, kind, sha256, thumbnail_sha256
        ), shown AS (
            INSERT INTO dispatch.live_event (id, district_id, responsible_district_id, at, kind, body)
            SELECT \(liveID), k.district_id, c.responsible_district_id, \(receivedAt), 'order.photo',
                   jsonb_build_object(
                       'case_id', c.case_id, 'order_id', k.order_id, 'attachment_id', k.attachment_id, 'kind', k.kind,
                       'sha256', k.sha256, 'thumbnail_sha256', k.thumbnail_sha256)
            FROM kept k
            JOIN dispatch.work_order o ON o.order_id = k.order_id
            JOIN dispatch.case_file c ON c.case_id = o.case_id
        )
        SELECT attachment_id FROM kept
        """
    }

    /// The photo of this order that a digest names, its own or its thumbnail's.
    /// - Parameter districts: nil for the whole city.
    static func find(_ sha256: String, of order: WorkOrder.ID, districts: [UUID]?) -> SQL {
        let own: SQL = districts.map { "district_id = ANY (\($0))" } ?? "true"
        return """
            SELECT sha256, thumbnail_sha256 FROM dispatch.order_attachment
            WHERE order_id = \(order) AND (sha256 = \(sha256) OR thumbnail_sha256 = \(sha256)) AND \(own)
            LIMIT 1
            """
    }

    /// Which of these pictures a photo names. For the background role, which sees every district.
    static func named(_ digests: [String]) -> SQL {
        """
        SELECT sha256 FROM dispatch.order_attachment WHERE sha256 = ANY (\(digests))
        UNION
        SELECT thumbnail_sha256 FROM dispatch.order_attachment WHERE thumbnail_sha256 = ANY (\(digests))
        """
    }
}

extension OrderPhoto {
    init(_ row: Row) throws {
        about = About(
            id: try row.decode("attachment_id"), kind: try row.decode("kind"),
            observedAt: try row.decode("observed_at"))
        orderID = try row.decode("order_id")
        sourceSHA256 = try row.decode("source_sha256")
        sha256 = try row.decode("sha256")
        thumbnailSHA256 = try row.decode("thumbnail_sha256")
        contentType = try row.decode("content_type")
        bytes = try row.decode("bytes")
        width = try row.decode("width")
        height = try row.decode("height")
        receivedAt = try row.decode("received_at")
        takenAt = try row.decode("taken_at")
        lon = try row.decode("lon")
        lat = try row.decode("lat")
    }
}
