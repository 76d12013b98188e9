import io.netty.buffer.Unpooled;
import io.netty.handler.ssl.SslContextBuilder;
import io.rsocket.Payload;
import io.rsocket.RSocket;
import io.rsocket.RSocketErrorException;
import io.rsocket.SocketAcceptor;
import io.rsocket.core.RSocketConnector;
import io.rsocket.lease.Lease;
import io.rsocket.metadata.CompositeMetadataCodec;
import io.rsocket.metadata.TaggingMetadataCodec;
import io.rsocket.metadata.WellKnownMimeType;
import io.rsocket.transport.ClientTransport;
import io.rsocket.transport.netty.client.TcpClientTransport;
import io.rsocket.transport.netty.client.WebsocketClientTransport;
import io.rsocket.util.DefaultPayload;
import java.io.BufferedReader;
import java.io.File;
import java.io.IOException;
import java.io.InputStreamReader;
import java.net.URI;
import java.net.URLDecoder;
import java.net.URLEncoder;
import java.nio.charset.StandardCharsets;
import java.time.Duration;
import java.util.Arrays;
import java.util.Base64;
import java.util.List;
import java.util.Map;
import java.util.concurrent.ConcurrentHashMap;
import java.util.stream.Collectors;
import java.util.stream.Stream;
import javax.net.ssl.SSLException;
import org.reactivestreams.Publisher;
import reactor.core.publisher.Flux;
import reactor.core.publisher.Mono;
import reactor.netty.tcp.TcpClient;

/** Programs of rsocket-java that dial a broker, in both roles; told what to do as rsocket-foreign.ts says. */
public final class RSocketJava {
  private static final int STREAM_ITEMS = 200;
  private static final int CHANNEL_ITEMS = 3;
  private static final Duration ANSWER_TIME = Duration.ofSeconds(20);
  private static final Map<String, RSocket> CONNECTIONS = new ConcurrentHashMap<>();

  public static void main(String[] args) throws IOException {
    BufferedReader commands =
        new BufferedReader(new InputStreamReader(System.in, StandardCharsets.UTF_8));
    for (String line = commands.readLine(); line != null; line = commands.readLine()) {
      String[] fields =
          Arrays.stream(line.split(" ", -1))
              .map(field -> URLDecoder.decode(field, StandardCharsets.UTF_8))
              .toArray(String[]::new);
      switch (fields[0]) {
        case "dial" -> dial(fields);
        case "close" -> CONNECTIONS.remove(fields[1]).dispose();
        default -> ask(fields);
      }
    }
    System.exit(0);
  }

  private static synchronized void say(Stream<String> fields) {
    System.out.println(
        fields
            .map(field -> URLEncoder.encode(field, StandardCharsets.UTF_8).replace("+", "%20"))
            .collect(Collectors.joining(" ")));
  }

  private static void dial(String[] fields) throws IOException {
    String connection = fields[1];
    int port = Integer.parseInt(fields[3]);
    byte[] setup = Base64.getDecoder().decode(fields[5]);
    RSocketConnector connector =
        RSocketConnector.create()
            .setupPayload(DefaultPayload.create(new byte[0], setup))
            .dataMimeType("text/plain")
            .metadataMimeType(WellKnownMimeType.MESSAGE_RSOCKET_COMPOSITE_METADATA.getString())
            .keepAlive(Duration.ofSeconds(20), Duration.ofSeconds(90))
            // Larger payloads go in fragments, as Spring sets it up.
            .fragment(fields[7].equals("-") ? 65_536 : Integer.parseInt(fields[7]))
            .acceptor(SocketAcceptor.with(new Responder(connection)));
    if (!fields[6].equals("-")) {
      int requests = Integer.parseInt(fields[6]);
      Flux<Lease> leases =
          requests == 0 ? Flux.never() : Flux.just(Lease.create(Duration.ofHours(1), requests));
      connector.lease(
          spec -> spec.sender(() -> leases.concatWith(Flux.never())).maxPendingRequests(64));
    }
    RSocket socket = connector.connect(transport(fields[2], port, fields[4])).block(ANSWER_TIME);
    CONNECTIONS.put(connection, socket);
    say(Stream.of("up", connection));
  }

  private static ClientTransport transport(String carrier, int port, String caFile)
      throws SSLException {
    if (carrier.equals("ws")) {
      return WebsocketClientTransport.create(URI.create("ws://127.0.0.1:" + port + "/"));
    }
    TcpClient client = TcpClient.create().host("127.0.0.1").port(port);
    if (carrier.equals("tls")) {
      var context = SslContextBuilder.forClient().trustManager(new File(caFile)).build();
      client = client.host("localhost").secure(spec -> spec.sslContext(context));
    }
    return TcpClientTransport.create(client);
  }

  private static void ask(String[] fields) {
    String id = fields[1];
    RSocket socket = CONNECTIONS.get(fields[2]);
    int initialN = Integer.parseInt(fields[4]);
    Payload payload = routed(fields[5], fields[6]);
    String data = fields[6];
    Flux<Payload> answers =
        switch (fields[3]) {
          case "rr" -> socket.requestResponse(payload).flux();
          case "fnf" -> socket.fireAndForget(payload).thenMany(Flux.empty());
          case "first" -> socket.requestStream(payload).limitRate(1).take(1);
          case "stream" -> socket.requestStream(payload).limitRate(initialN);
          default -> {
            Flux<Payload> rest =
                Flux.range(1, CHANNEL_ITEMS - 1).map(at -> DefaultPayload.create(data + at));
            Payload first = routed(fields[5], data + 0);
            yield socket.requestChannel(rest.startWith(first)).limitRate(initialN);
          }
        };
    answers
        .map(RSocketJava::text)
        .timeout(ANSWER_TIME)
        .onErrorResume(error -> Mono.just(describe(error)))
        .collectList()
        .subscribe(items -> say(Stream.concat(Stream.of("answer", id), items.stream())));
  }

  private static String describe(Throwable error) {
    return error instanceof RSocketErrorException protocol
        ? "#" + Integer.toHexString(protocol.errorCode()) + " " + protocol.getMessage()
        : "!" + error;
  }

  private static Payload routed(String key, String data) {
    var allocator = io.netty.buffer.ByteBufAllocator.DEFAULT;
    var metadata = allocator.compositeBuffer();
    CompositeMetadataCodec.encodeAndAddMetadata(
        metadata,
        allocator,
        WellKnownMimeType.MESSAGE_RSOCKET_ROUTING,
        TaggingMetadataCodec.createTaggingContent(allocator, List.of(key)));
    return DefaultPayload.create(
        Unpooled.copiedBuffer(data, StandardCharsets.UTF_8), metadata);
  }

  /** Its data; the payload is spent. */
  private static String text(Payload payload) {
    String data = payload.getDataUtf8();
    payload.release();
    return data;
  }

  private record Responder(String connection) implements RSocket {
    @Override
    public Mono<Payload> requestResponse(Payload payload) {
      String data = text(payload);
      return data.equals("fail")
          ? Mono.error(new IllegalStateException("told to"))
          : Mono.just(DefaultPayload.create(data));
    }

    @Override
    public Flux<Payload> requestStream(Payload payload) {
      String data = text(payload);
      return Flux.range(0, STREAM_ITEMS).map(at -> DefaultPayload.create(data));
    }

    @Override
    public Flux<Payload> requestChannel(Publisher<Payload> payloads) {
      return Flux.from(payloads).map(payload -> DefaultPayload.create(text(payload)));
    }

    @Override
    public Mono<Void> fireAndForget(Payload payload) {
      say(Stream.of("told", connection, text(payload)));
      return Mono.empty();
    }
  }
}
