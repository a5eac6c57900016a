import ControlCommands
import Glibc

exit(await Sluicectl.start(CommandLine.arguments.dropFirst()))
