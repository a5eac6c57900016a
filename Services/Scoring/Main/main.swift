import Model
import ScoringService
import ServiceKit

await ServiceProcess.run(.scoring) { context in
    let timeZone = try context.configuration.read { $0.text("SLUICE_TIME_ZONE", default: "Asia/Shanghai") }
    try await ScoringService(context, timeZone: timeZone).serve()
}
