// HandoverCurator PATH SECONDS [CLIENTS]: the hand-over benchmark's peer with Curator's InterProcessMutex
// (protocol: README.md). CLIENTS clients, each with a session and a thread of its own, share this JVM.

import java.io.BufferedReader;
import java.io.InputStreamReader;
import java.util.ArrayList;
import java.util.List;
import java.util.concurrent.Callable;
import java.util.concurrent.ExecutorService;
import java.util.concurrent.Executors;
import java.util.concurrent.Future;
import org.apache.curator.framework.CuratorFramework;
import org.apache.curator.framework.CuratorFrameworkFactory;
import org.apache.curator.framework.recipes.locks.InterProcessMutex;
import org.apache.curator.retry.RetryOneTime;

public class HandoverCurator {
  static long acquisitions(InterProcessMutex mutex, double seconds) throws Exception {
    final long end = System.nanoTime() + (long) (seconds * 1e9);
    for (long count = 0;; count++) {
      mutex.acquire();
      try {
        if (System.nanoTime() >= end) return count;
      } finally {
        mutex.release();
      }
    }
  }

  public static void main(String[] arguments) throws Exception {
    final String path = arguments[0];
    final double seconds = Double.parseDouble(arguments[1]);
    final int clients = arguments.length > 2 ? Integer.parseInt(arguments[2]) : 1;

    final List<CuratorFramework> sessions = new ArrayList<>();
    final List<Callable<Long>> contenders = new ArrayList<>();
    for (int i = 0; i < clients; i++) {
      final CuratorFramework session =
          CuratorFrameworkFactory.newClient(System.getenv("ZK_HOSTS"), new RetryOneTime(100));
      session.start();
      session.blockUntilConnected();
      final InterProcessMutex mutex = new InterProcessMutex(session, path);
      sessions.add(session);
      contenders.add(() -> acquisitions(mutex, seconds));
    }

    final ExecutorService threads = Executors.newFixedThreadPool(clients);
    final BufferedReader input = new BufferedReader(new InputStreamReader(System.in));
    System.out.println("ready");
    while (input.readLine() != null) {
      long total = 0;
      for (Future<Long> count : threads.invokeAll(contenders)) total += count.get();
      System.out.println(total);
    }
    threads.shutdown();
    for (CuratorFramework session : sessions) session.close();
  }
}
