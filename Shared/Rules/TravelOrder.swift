public import Model

/// In which order a crew goes to its open orders: what it has started, then emergencies, then the rest by the way.
public enum TravelOrder {
    public static let ruleVersion = 1

    public struct Stop: Hashable, Sendable {
        public var orderID: WorkOrder.ID
        public var place: Coordinate
        public var state: OrderState
        public var emergency: Bool
        public var severity: Severity

        public init(
            orderID: WorkOrder.ID, place: Coordinate, state: OrderState, emergency: Bool, severity: Severity
        ) {
            self.orderID = orderID
            self.place = place
            self.state = state
            self.emergency = emergency
            self.severity = severity
        }

        /// Lower goes first; only within one rank does the way count.
        fileprivate var rank: Int {
            if state.isStarted { return 0 }
            return emergency ? 10 - severity.rawValue : 100
        }
    }

    /// Always to the nearest next, from where the crew is. Routine work goes by the way alone: its severity decided
    /// when it was given to the crew, and a detour for each would cost all of them time. Equal ways go by the id.
    /// - Parameter start: where the crew was last; nil if that is not known, then the first stop is where it begins.
    public static func sorted(_ stops: [Stop], from start: Coordinate?) -> [WorkOrder.ID] {
        var way: [WorkOrder.ID] = []
        var here = start
        for (_, group) in Dictionary(grouping: stops, by: \.rank).sorted(by: { $0.key < $1.key }) {
            var left = group.sorted { $0.orderID < $1.orderID }
            while !left.isEmpty {
                let distances = left.map { stop in here.map { Geodesy.distance($0, stop.place).rawValue } ?? 0 }
                // The first of the smallest, so that the way is the same each time it is asked for.
                let next = distances.indices.min { distances[$0] < distances[$1] } ?? 0
                let stop = left.remove(at: next)
                way.append(stop.orderID)
                here = stop.place
            }
        }
        return way
    }
}
