import GISSyncService
import ServiceKit

await ServiceProcess.run(.gisSync) { context in
    try await GISSyncService(context).serve()
}
