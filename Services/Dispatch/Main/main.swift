import DispatchService
import Model
import ServiceKit

await ServiceProcess.run(.dispatch) { context in
    try await DispatchService(context).serve()
}
