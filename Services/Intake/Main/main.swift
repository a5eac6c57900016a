import IntakeService
import Model
import ServiceKit

await ServiceProcess.run(.intake) { context in
    try await IntakeService(context).serve()
}
