// What each program of the cluster is told. One node, one address, control groups of version 1, and nothing that
// reaches out of its namespaces.

import { join } from "node:path";

export const NODE = "node0";
export const ADDRESS = "10.90.0.1";
export const SERVICES = "10.96.0.0/16";
/** The first of the Services is the API server's. */
export const API_ADDRESS = "10.96.0.1";
const PODS = "10.244.0.0/24";

export const PAUSE_IMAGE = "localhost/pause:1";
const SOCKET = "/run/containerd/containerd.sock";

export interface Places {
  readonly folder: string;
  /** The cluster's control group. */
  readonly group: string;
  readonly cniPlugins: string;
  readonly runc: string;
}

export const pkiFolder = (folder: string): string => join(folder, "pki");

export const kubeconfig = (folder: string, who: string): string =>
  join(pkiFolder(folder), `${who}.kubeconfig`);

/** Names of files below the folder, and what is in them. */
export function settingsFiles(places: Places): Readonly<Record<string, string>> {
  const { folder, group } = places;
  const pki = pkiFolder(folder);
  return {
    "etc/containerd.toml": containerd(places),
    "etc/cni/10-bridge.conflist": JSON.stringify({
      cniVersion: "1.0.0",
      name: "pods",
      plugins: [
        {
          type: "bridge",
          bridge: "pods0",
          isGateway: true,
          ipMasq: false,
          // A pod reaches its own Service.
          hairpinMode: true,
          ipam: {
            type: "host-local",
            ranges: [[{ subnet: PODS }]],
            routes: [{ dst: "0.0.0.0/0" }],
          },
        },
      ],
    }),
    "etc/resolv.conf": `nameserver ${ADDRESS}\n`,
    "etc/kubelet.yaml": JSON.stringify({
      apiVersion: "kubelet.config.k8s.io/v1beta1",
      kind: "KubeletConfiguration",
      failCgroupV1: false,
      cgroupDriver: "cgroupfs",
      cgroupRoot: `/${group}`,
      cgroupsPerQOS: true,
      enforceNodeAllocatable: ["pods"],
      // It reads what init.sh has put over the machine's own, and writes nothing.
      protectKernelDefaults: true,
      failSwapOn: false,
      oomScoreAdj: 0,
      seccompDefault: true,
      containerRuntimeEndpoint: `unix://${SOCKET}`,
      authentication: {
        anonymous: { enabled: false },
        webhook: { enabled: true },
        x509: { clientCAFile: join(pki, "ca.crt") },
      },
      authorization: { mode: "Webhook" },
      tlsCertFile: join(pki, "kubelet-server.crt"),
      tlsPrivateKeyFile: join(pki, "kubelet-server.key"),
      clusterDomain: "cluster.local",
      clusterDNS: [ADDRESS],
      resolvConf: join(folder, "etc/resolv.conf"),
      podLogsDir: join(folder, "log/pods"),
      volumePluginDir: join(folder, "kubelet/plugins-exec"),
      imageGCHighThresholdPercent: 100,
      evictionHard: {
        "memory.available": "50Mi",
        "nodefs.available": "100Mi",
        "imagefs.available": "100Mi",
        "nodefs.inodesFree": "1%",
        "imagefs.inodesFree": "1%",
      },
      nodeStatusUpdateFrequency: "5s",
      // How soon a changed ConfigMap is seen in the pods.
      syncFrequency: "5s",
    }),
    "etc/proxy.yaml": JSON.stringify({
      apiVersion: "kubeproxy.config.k8s.io/v1alpha1",
      kind: "KubeProxyConfiguration",
      mode: "nftables",
      hostnameOverride: NODE,
      clientConnection: { kubeconfig: kubeconfig(folder, "proxy") },
      clusterCIDR: PODS,
      // Zeros: these are settings of the whole machine.
      conntrack: { maxPerCore: 0, tcpEstablishedTimeout: "0s", tcpCloseWaitTimeout: "0s" },
      metricsBindAddress: "127.0.0.1:10249",
      healthzBindAddress: "127.0.0.1:10256",
    }),
    // A brace with its contents on one line is misread.
    "etc/Corefile": `.:53 {
  bind ${ADDRESS}
  errors
  health 127.0.0.1:8181
  cache 5
  kubernetes cluster.local in-addr.arpa {
    kubeconfig ${kubeconfig(folder, "coredns")}
  }
}
`,
  };
}

/** A file of version 2: containerd 1.6 reads it. */
function containerd({ folder, cniPlugins, runc }: Places): string {
  const cri = `plugins."io.containerd.grpc.v1.cri"`;
  return `version = 2
root = "${join(folder, "containerd")}"
state = "/run/containerd"
[grpc]
address = "${SOCKET}"
[${cri}]
sandbox_image = "${PAUSE_IMAGE}"
# Without CAP_SYS_RESOURCE no score can be lowered.
restrict_oom_score_adj = true
disable_apparmor = true
[${cri}.cni]
bin_dir = "${cniPlugins}"
conf_dir = "${join(folder, "etc/cni")}"
[${cri}.containerd]
snapshotter = "overlayfs"
default_runtime_name = "runc"
[${cri}.containerd.runtimes.runc]
runtime_type = "io.containerd.runc.v2"
[${cri}.containerd.runtimes.runc.options]
BinaryName = "${runc}"
SystemdCgroup = false
`;
}

/** The commands of the programs, by name. */
export function commands(folder: string): Readonly<Record<string, readonly [string, ...string[]]>> {
  const pki = (file: string): string => join(pkiFolder(folder), file);
  const asClient = (who: string): string[] =>
    ["kubeconfig", "authentication-kubeconfig", "authorization-kubeconfig"].map(
      (flag) => `--${flag}=${kubeconfig(folder, who)}`,
    );
  const etcd = "http://127.0.0.1:2379";
  const peers = "http://127.0.0.1:2380";
  return {
    etcd: [
      "etcd",
      "--name=e",
      `--data-dir=${join(folder, "etcd")}`,
      "--unsafe-no-fsync",
      `--listen-client-urls=${etcd}`,
      `--advertise-client-urls=${etcd}`,
      `--listen-peer-urls=${peers}`,
      `--initial-advertise-peer-urls=${peers}`,
      `--initial-cluster=e=${peers}`,
    ],
    containerd: ["containerd", "-c", join(folder, "etc/containerd.toml")],
    apiserver: [
      "kube-apiserver",
      `--etcd-servers=${etcd}`,
      // Not loopback: pods reach it under this address.
      `--advertise-address=${ADDRESS}`,
      "--secure-port=6443",
      `--tls-cert-file=${pki("apiserver.crt")}`,
      `--tls-private-key-file=${pki("apiserver.key")}`,
      `--client-ca-file=${pki("ca.crt")}`,
      "--service-account-issuer=https://kubernetes.default.svc.cluster.local",
      `--service-account-signing-key-file=${pki("sa.key")}`,
      `--service-account-key-file=${pki("sa.pub")}`,
      `--service-cluster-ip-range=${SERVICES}`,
      "--authorization-mode=Node,RBAC",
      "--enable-admission-plugins=NodeRestriction",
      `--kubelet-client-certificate=${pki("apiserver-kubelet.crt")}`,
      `--kubelet-client-key=${pki("apiserver-kubelet.key")}`,
      `--kubelet-certificate-authority=${pki("ca.crt")}`,
      "--kubelet-preferred-address-types=InternalIP",
      "--profiling=false",
    ],
    "controller-manager": [
      "kube-controller-manager",
      ...asClient("controller-manager"),
      "--use-service-account-credentials",
      `--service-account-private-key-file=${pki("sa.key")}`,
      `--root-ca-file=${pki("ca.crt")}`,
      `--cluster-signing-cert-file=${pki("ca.crt")}`,
      `--cluster-signing-key-file=${pki("ca.key")}`,
      "--leader-elect=false",
      "--bind-address=127.0.0.1",
      `--service-cluster-ip-range=${SERVICES}`,
      `--cluster-cidr=${PODS}`,
      "--allocate-node-cidrs=true",
      "--node-cidr-mask-size=24",
    ],
    scheduler: [
      "kube-scheduler",
      ...asClient("scheduler"),
      "--leader-elect=false",
      "--bind-address=127.0.0.1",
    ],
    kubelet: [
      "kubelet",
      `--config=${join(folder, "etc/kubelet.yaml")}`,
      `--kubeconfig=${kubeconfig(folder, "kubelet")}`,
      `--root-dir=${join(folder, "kubelet")}`,
      `--cert-dir=${join(folder, "kubelet/pki")}`,
      `--hostname-override=${NODE}`,
      `--node-ip=${ADDRESS}`,
    ],
    proxy: ["kube-proxy", `--config=${join(folder, "etc/proxy.yaml")}`],
    coredns: ["coredns", "-conf", join(folder, "etc/Corefile")],
  };
}
