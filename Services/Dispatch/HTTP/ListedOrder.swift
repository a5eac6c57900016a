import FoundationEssentials
import Model
import Outbox
import Postgres
import Rules
import ServiceKit

/// An order with what a crew must know of its case to go there.
struct ListedOrder: Presentable {
    var order: OrderRecord
    var lon: Double
    var lat: Double
    var category: String
    var caseNumber: Int64
    var personAtRisk: Bool
    var arriveDue: Timestamp?
    var resolveDue: Timestamp?

    init(_ row: Row) throws {
        order = try OrderRecord(row)
        lon = try row.decode("lon")
        lat = try row.decode("lat")
        category = try row.decode("category")
        caseNumber = try row.decode("number")
        personAtRisk = try row.decode("person_at_risk")
        arriveDue = try row.decode("arrive_due")
        resolveDue = try row.decode("resolve_due")
    }

    var stop: TravelOrder.Stop {
        TravelOrder.Stop(
            orderID: order.orderID, place: Coordinate(lon: lon, lat: lat), state: order.state,
            emergency: order.emergency, severity: order.severity)
    }

    static let shown: [ShownField<ListedOrder>] =
        OrderView.shown.map { field in
            ShownField<ListedOrder>(field, of: { OrderView(record: $0.order) })
        } + [
            .init("lon", .number(-180...180)) { $0.lon },
            .init("lat", .number(-90...90)) { $0.lat },
            .init("category", .string()) { $0.category },
            .init("case_number", .integer()) { $0.caseNumber },
            .init("person_at_risk", .boolean) { $0.personAtRisk },
            .init("arrive_due", .nullable(.time)) { $0.arriveDue },
            .init("resolve_due", .nullable(.time)) { $0.resolveDue },
        ]
}

/// One order with its photos.
struct OrderDetail: Presentable {
    var listed: ListedOrder
    var photos: [OrderPhoto]

    static let shown: [ShownField<OrderDetail>] =
        ListedOrder.shown.map { field in ShownField<OrderDetail>(field, of: { $0.listed }) } + [
            .init("photos", .array(of: .reference("OrderPhoto"))) { $0.photos.map { Presented($0) } }
        ]
}
