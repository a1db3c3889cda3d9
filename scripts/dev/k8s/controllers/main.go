// Runs Kubernetes' own controllers of Deployments, ReplicaSets and HorizontalPodAutoscalers against an API server, without
// the rest of kube-controller-manager. Metrics are read through Kubernetes' own clients, from an address of their own: no
// API aggregation is needed.
package main

import (
	"context"
	"flag"
	"os"
	"os/signal"
	"syscall"
	"time"

	"k8s.io/client-go/discovery/cached/memory"
	"k8s.io/client-go/dynamic"
	"k8s.io/client-go/informers"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/rest"
	"k8s.io/client-go/restmapper"
	"k8s.io/client-go/scale"
	"k8s.io/client-go/tools/clientcmd"
	"k8s.io/klog/v2"
	"k8s.io/kubernetes/pkg/controller/deployment"
	"k8s.io/kubernetes/pkg/controller/podautoscaler"
	"k8s.io/kubernetes/pkg/controller/podautoscaler/metrics"
	"k8s.io/kubernetes/pkg/controller/replicaset"
	resourceclient "k8s.io/metrics/pkg/client/clientset/versioned/typed/metrics/v1beta1"
	"k8s.io/metrics/pkg/client/custom_metrics"
	"k8s.io/metrics/pkg/client/external_metrics"
)

// Workers of each controller. One reconciles as fast as a few Deployments need.
const workers = 2

var (
	kubeconfig = flag.String("kubeconfig", "", "how to reach the API server")
	metricsURL = flag.String("metrics", "", "base address of the metrics APIs, such as http://127.0.0.1:8090")
	// Named and preset as kube-controller-manager does.
	sync      = flag.Duration("horizontal-pod-autoscaler-sync-period", 15*time.Second, "")
	downscale = flag.Duration("horizontal-pod-autoscaler-downscale-stabilization", 5*time.Minute, "")
	tolerance = flag.Float64("horizontal-pod-autoscaler-tolerance", 0.1, "")
	cpuStart  = flag.Duration("horizontal-pod-autoscaler-cpu-initialization-period", 5*time.Minute, "")
	readiness = flag.Duration("horizontal-pod-autoscaler-initial-readiness-delay", 30*time.Second, "")
)

func main() {
	klog.InitFlags(nil)
	flag.Parse()
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	if err := run(ctx); err != nil {
		klog.Fatal(err)
	}
}

func run(ctx context.Context) error {
	config, err := clientcmd.BuildConfigFromFlags("", *kubeconfig)
	if err != nil {
		return err
	}
	// The compressed clock must not wait for the client's own limits.
	config.QPS, config.Burst = 200, 400
	client, err := kubernetes.NewForConfig(config)
	if err != nil {
		return err
	}
	shared := informers.NewSharedInformerFactory(client, 0)
	sets, pods := shared.Apps().V1().ReplicaSets(), shared.Core().V1().Pods()
	deployments, err := deployment.NewDeploymentController(ctx, shared.Apps().V1().Deployments(), sets, pods, client)
	if err != nil {
		return err
	}
	replicas := replicaset.NewReplicaSetController(ctx, sets, pods, client, replicaset.BurstReplicas)
	autoscaler, err := newAutoscaler(ctx, config, client, shared)
	if err != nil {
		return err
	}
	shared.Start(ctx.Done())
	go deployments.Run(ctx, workers)
	go replicas.Run(ctx, workers)
	go autoscaler.Run(ctx, workers)
	<-ctx.Done()
	return nil
}

// As cmd/kube-controller-manager/app/autoscaling.go puts it together.
func newAutoscaler(
	ctx context.Context, config *rest.Config, client *kubernetes.Clientset, shared informers.SharedInformerFactory,
) (*podautoscaler.HorizontalController, error) {
	mapper := restmapper.NewDeferredDiscoveryRESTMapper(memory.NewMemCacheClient(client.Discovery()))
	kinds := scale.NewDiscoveryScaleKindResolver(client.Discovery())
	scales, err := scale.NewForConfig(config, mapper, dynamic.LegacyAPIPathResolverFunc, kinds)
	if err != nil {
		return nil, err
	}
	reads := &rest.Config{Host: *metricsURL, QPS: 200, Burst: 400}
	discovery, err := kubernetes.NewForConfig(reads)
	if err != nil {
		return nil, err
	}
	versions := custom_metrics.NewAvailableAPIsGetter(discovery.Discovery())
	return podautoscaler.NewHorizontalController(
		ctx, client.CoreV1(), scales, client.AutoscalingV2(), mapper,
		metrics.NewRESTMetricsClient(
			resourceclient.NewForConfigOrDie(reads),
			custom_metrics.NewForConfig(reads, mapper, versions),
			external_metrics.NewForConfigOrDie(reads),
		),
		shared.Autoscaling().V2().HorizontalPodAutoscalers(), shared.Core().V1().Pods(),
		*sync, *downscale, *tolerance, *cpuStart, *readiness,
	), nil
}
