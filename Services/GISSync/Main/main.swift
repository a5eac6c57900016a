import GISSyncService
import Model
import ServiceKit

await ServiceProcess.run(.gisSync) { context in
    try await GISSyncService(context).serve()
}
