// BarrierCurator MEMBERS NUMBER...: the barrier benchmark's peer with Curator's DistributedDoubleBarrier
// (protocol: README.md). The members of these numbers, each with a session and a thread of its own, share this JVM.

import java.io.BufferedReader;
import java.io.InputStreamReader;
import java.util.HashMap;
import java.util.Map;
import java.util.concurrent.ExecutorService;
import java.util.concurrent.Executors;
import org.apache.curator.framework.CuratorFramework;
import org.apache.curator.framework.CuratorFrameworkFactory;
import org.apache.curator.framework.recipes.barriers.DistributedDoubleBarrier;
import org.apache.curator.retry.RetryOneTime;

public class BarrierCurator {
  interface Act {
    void run() throws Exception;
  }

  static class Member {
    final CuratorFramework session =
        CuratorFrameworkFactory.newClient(System.getenv("ZK_HOSTS"), 300_000, 60_000, new RetryOneTime(100));
    final ExecutorService thread = Executors.newSingleThreadExecutor();
    DistributedDoubleBarrier barrier;

    Member() throws InterruptedException {
      session.start();
      session.blockUntilConnected();
    }

    void act(String[] line, int members) {
      thread.execute(() -> {
        try {
          if (line[0].equals("enter")) {
            barrier = new DistributedDoubleBarrier(session, line[2], members);
            timed(barrier::enter);
          } else {
            timed(barrier::leave);
          }
        } catch (Exception failure) {
          failure.printStackTrace();
          System.exit(1);
        }
      });
    }
  }

  static void timed(Act act) throws Exception {
    System.out.println("called");
    final long begin = System.nanoTime(); // CLOCK_MONOTONIC
    act.run();
    final long end = System.nanoTime();
    System.out.println(begin + " " + end);
  }

  public static void main(String[] arguments) throws Exception {
    final int members = Integer.parseInt(arguments[0]);
    final Map<String, Member> ours = new HashMap<>();
    for (int i = 1; i < arguments.length; i++) ours.put(arguments[i], new Member());

    final BufferedReader input = new BufferedReader(new InputStreamReader(System.in));
    System.out.println("ready");
    for (String line = input.readLine(); line != null; line = input.readLine()) {
      final String[] words = line.split(" ");
      ours.get(words[1]).act(words, members);
    }
    for (Member member : ours.values()) {
      member.thread.shutdown();
      member.session.close();
    }
  }
}
