/// What came of a drill.
struct DrillReport: Encodable, Sendable {
    var script: String
    var notes: [String]
    var speed: Double
    /// Seconds.
    var posting: Double
    var settling: Double
    var reportsIn: Int
    var emergencies: Int
    var refused: Int
    var refusals: [String: Int]
    var cases: Int
    var emergencyCases: Int
    /// Reports that joined a case which was there.
    var merged: Int
    var rejected: Int
    var crews: Int
    var ordersAccepted: Int
    var ordersDone: Int
    var notices: Int
    var acknowledged: Int
    /// Emergencies that had no crew, or that nobody had been told of, when the drill ended.
    var emergenciesWaiting: Int
    /// Those of them that no crew was claimed for although one could be had.
    var emergenciesPassedOver: Int
    /// Those of them that nobody had been told of.
    var emergenciesUntold: Int
    var receipt: Percentiles?
    var emergencyToClaim: Percentiles?
    var emergencyToNotice: Percentiles?
    var routineToClaim: Percentiles?
    var routineToNotice: Percentiles?
    var peopleRefused: [String: Int]
    var balance: Balance

    /// Everything that was accepted is accounted for, and no emergency waits for anything but a crew that is not to be
    /// had, or for its verification.
    var isClean: Bool {
        balance.isClean && refused == 0 && emergenciesPassedOver == 0 && emergenciesUntold == 0
    }

    var text: String {
        func line(_ name: String, _ text: String) -> String { "  " + name.padded(to: 26) + text }
        func time(_ name: String, _ value: Percentiles?) -> String { line(name, value?.text ?? "–") }
        var lines = [
            "Drill: \(script), \(Int(speed)) times as fast as it was",
            line("reports in", "\(reportsIn), \(emergencies) of them emergencies; \(refused) refused"),
            line("cases", "\(cases), \(emergencyCases) of them emergencies; \(merged) reports joined one"),
            line("crews", "\(crews) at work, \(ordersAccepted) orders accepted, \(ordersDone) done"),
            line("notices", "\(notices), \(acknowledged) acknowledged"),
            "Accepted → crew claimed",
            time("emergency", emergencyToClaim), time("routine", routineToClaim),
            "Accepted → first notice",
            time("emergency (sent out)", emergencyToNotice), time("routine (in the inbox)", routineToNotice),
            time("receipt of a report", receipt),
        ]
        if emergenciesWaiting > 0 {
            lines.append(
                line(
                    "still waiting",
                    "\(emergenciesWaiting) emergencies: \(emergenciesPassedOver) passed over by crews that could be "
                        + "had, \(emergenciesUntold) told to nobody"))
        }
        lines += notes.map { "  note: \($0)" }
        lines += refusals.sorted { $0.value > $1.value }.prefix(5).map { "  refused \($0.value) ×: \($0.key)" }
        lines += peopleRefused.sorted { $0.value > $1.value }.prefix(5).map { "  refused \($0.value) ×: \($0.key)" }
        return (lines + ["Reconciliation", balance.text]).joined(separator: "\n")
    }
}
