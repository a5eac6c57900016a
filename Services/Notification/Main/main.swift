import Model
import NotificationService
import ServiceKit

await ServiceProcess.run(.notification) { context in
    try await NotificationService(context).serve()
}
