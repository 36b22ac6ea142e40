import java.nio.file.Files;
import java.nio.file.Path;
import java.util.List;
import java.util.Map;
import org.opensearch.common.settings.Settings;
import org.opensearch.http.HttpServerTransport;
import org.opensearch.node.InternalSettingsPreparer;
import org.opensearch.node.Node;
import org.opensearch.transport.Netty4Plugin;

/** A whole OpenSearch of one node on free ports of the loopback, with its data in a folder. */
public final class Server extends Node {
    private Server(Settings settings) {
        super(
                InternalSettingsPreparer.prepareEnvironment(settings, Map.of(), null, () -> "tests"),
                List.of(Netty4Plugin.class),
                true);
    }

    public static void main(String[] arguments) throws Exception {
        Path home = Path.of(arguments[0]);
        Files.createDirectories(home.resolve("config"));
        Settings settings =
                Settings.builder()
                        .put("path.home", home.toString())
                        .put("node.name", "tests")
                        .put("cluster.name", "tests")
                        .put("discovery.type", "single-node")
                        .put("network.host", "127.0.0.1")
                        .put("http.port", "0")
                        .put("transport.port", "0")
                        .put("http.type", "netty4")
                        .put("transport.type", "netty4")
                        // A full disk is not what the tests are about.
                        .put("cluster.routing.allocation.disk.threshold_enabled", false)
                        .build();
        Node node = new Server(settings).start();
        HttpServerTransport http = node.injector().getInstance(HttpServerTransport.class);
        System.out.println("{\"address\":\"" + http.boundAddress().publishAddress() + "\"}");
        Thread.currentThread().join();
    }
}
