import Foundation
import Model
import Rules
import Testing

@Suite("Order of travel")
struct TravelOrderTests {
    static let depot = Coordinate(lon: 114.05, lat: 22.55)

    static func stop(
        _ number: Int, north metres: Double, state: OrderState = .assigned, emergency: Bool = false,
        severity: Severity = .normal
    ) -> TravelOrder.Stop {
        let id = UUID(uuid: (0, 0, 0, 0, 0, 0, 0x70, 0, 0x80, 0, 0, 0, 0, 0, 0, UInt8(number)))
        return TravelOrder.Stop(
            orderID: WorkOrder.ID(id), place: Coordinate(lon: depot.lon, lat: depot.lat + metres / 111_195),
            state: state, emergency: emergency, severity: severity)
    }

    static func way(_ stops: [TravelOrder.Stop], from start: Coordinate? = depot) -> [UInt8] {
        TravelOrder.sorted(stops, from: start).map { $0.rawValue.uuid.15 }
    }

    @Test("Always the nearest next, from where the crew is")
    func nearest() {
        let stops = [Self.stop(1, north: 900), Self.stop(2, north: -200), Self.stop(3, north: 300)]
        #expect(Self.way(stops) == [2, 3, 1])
        #expect(Self.way(stops.reversed()) == [2, 3, 1], "whatever order they come in")
        #expect(Self.way(stops, from: stops[0].place) == [1, 3, 2])
    }

    @Test("What is started comes first, then emergencies, the more severe first, however far they are")
    func priority() {
        let stops = [
            Self.stop(1, north: 10, severity: .lifeAtRisk),
            Self.stop(2, north: 4_000, emergency: true, severity: .high),
            Self.stop(3, north: 9_000, emergency: true, severity: .lifeAtRisk),
            Self.stop(4, north: 5_000, state: .enRoute), Self.stop(5, north: 3_900, severity: .lowest),
        ]
        #expect(Self.way(stops) == [4, 3, 2, 5, 1])
    }

    @Test("Equal ways go by the id; a crew whose place is unknown begins with the first; no orders, no way")
    func ties() {
        #expect(Self.way([Self.stop(2, north: 100), Self.stop(1, north: 100)]) == [1, 2])
        #expect(Self.way([Self.stop(2, north: 100), Self.stop(1, north: 500)], from: nil) == [1, 2])
        #expect(Self.way([]) == [])
    }
}
