import de.bwaldvogel.mongo.wire.MongoDatabaseHandler;
import de.bwaldvogel.mongo.wire.MongoExceptionHandler;
import de.bwaldvogel.mongo.wire.MongoWireMessageEncoder;
import de.bwaldvogel.mongo.wire.MongoWireProtocolHandler;
import de.bwaldvogel.mongo.wire.MongoWireReplyEncoder;
import de.bwaldvogel.mongo.wire.message.ClientRequest;
import io.netty.bootstrap.ServerBootstrap;
import io.netty.channel.Channel;
import io.netty.channel.ChannelHandlerContext;
import io.netty.channel.ChannelInitializer;
import io.netty.channel.group.DefaultChannelGroup;
import io.netty.channel.nio.NioEventLoopGroup;
import io.netty.channel.socket.SocketChannel;
import io.netty.channel.socket.nio.NioServerSocketChannel;
import io.netty.util.concurrent.GlobalEventExecutor;
import java.net.InetSocketAddress;

/** Serves MongoDB's protocol on a free loopback port, whose address it prints, until its input ends. */
final class Wire {
    /** Threads that may wait for one another; a connection stays with one of them. */
    private static final int THREADS = 256;

    public static void main(String[] arguments) throws Exception {
        Recorder recorder = new Recorder();
        ReplicaSet replicaSet = new ReplicaSet(recorder);
        DefaultChannelGroup channels = new DefaultChannelGroup(GlobalEventExecutor.INSTANCE);
        Channel listening = new ServerBootstrap()
            .group(new NioEventLoopGroup(1), new NioEventLoopGroup(THREADS))
            .channel(NioServerSocketChannel.class)
            .childHandler(new ChannelInitializer<SocketChannel>() {
                @Override
                public void initChannel(SocketChannel channel) {
                    channel.pipeline().addLast(
                        new MongoWireReplyEncoder(),
                        new MongoWireMessageEncoder(),
                        new MongoWireProtocolHandler(),
                        new OneAtATime(replicaSet, channels),
                        new MongoExceptionHandler());
                }
            })
            .bind("127.0.0.1", 0).sync().channel();
        int port = ((InetSocketAddress) listening.localAddress()).getPort();
        replicaSet.nameItself("127.0.0.1:" + port);
        System.out.println("mongodb://127.0.0.1:" + port);
        System.out.flush();
        while (System.in.read() >= 0) {
        }
        System.exit(0);
    }

    /** One command at a time, with the sending of its answer: answers share documents with the data. */
    private static final class OneAtATime extends MongoDatabaseHandler {
        private final ReplicaSet replicaSet;

        OneAtATime(ReplicaSet replicaSet, DefaultChannelGroup channels) {
            super(replicaSet, channels);
            this.replicaSet = replicaSet;
        }

        @Override
        protected void channelRead0(ChannelHandlerContext context, ClientRequest request) {
            synchronized (replicaSet) {
                super.channelRead0(context, request);
            }
        }
    }
}
