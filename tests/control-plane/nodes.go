package main

import (
	"context"
	"flag"
	"fmt"
	"hash/fnv"
	"os/signal"
	"syscall"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/informers"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/tools/cache"
	"k8s.io/client-go/tools/clientcmd"
	"k8s.io/client-go/util/workqueue"
)

// What a pod may ask of the nodes, as annotations.
const (
	readyAfterKey    = "control-plane.foresail.dev/ready-after"
	unschedulableKey = "control-plane.foresail.dev/unschedulable"
	unreadyKey       = "control-plane.foresail.dev/unready"
)

// kubelets bind pods and say what becomes of them. Nothing runs.
type kubelets struct {
	client     kubernetes.Interface
	pods       cache.SharedIndexInformer
	queue      workqueue.TypedRateLimitingInterface[string]
	readyAfter time.Duration
	nodes      int
}

func runNodes(args []string) error {
	flags := flag.NewFlagSet("nodes", flag.ExitOnError)
	path := flags.String("kubeconfig", "", "kubeconfig of an administrator")
	count := flags.Int("count", 3, "nodes")
	readyAfter := flags.Duration("ready-after", 2*time.Second, "time until a bound pod is Ready")
	_ = flags.Parse(args)
	config, err := clientcmd.BuildConfigFromFlags("", *path)
	if err != nil {
		return err
	}
	config.QPS, config.Burst = 500, 1000
	client, err := kubernetes.NewForConfig(config)
	if err != nil {
		return err
	}
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGTERM, syscall.SIGINT)
	defer stop()
	for number := range *count {
		if err := register(ctx, client, nodeName(number)); err != nil {
			return err
		}
	}
	factory := informers.NewSharedInformerFactory(client, 0)
	k := &kubelets{
		client:     client,
		pods:       factory.Core().V1().Pods().Informer(),
		queue:      workqueue.NewTypedRateLimitingQueue(workqueue.DefaultTypedControllerRateLimiter[string]()),
		readyAfter: *readyAfter,
		nodes:      *count,
	}
	enqueue := func(object any) {
		if key, err := cache.DeletionHandlingMetaNamespaceKeyFunc(object); err == nil {
			k.queue.Add(key)
		}
	}
	_, err = k.pods.AddEventHandler(cache.ResourceEventHandlerFuncs{
		AddFunc:    enqueue,
		UpdateFunc: func(_, object any) { enqueue(object) },
	})
	if err != nil {
		return err
	}
	factory.Start(ctx.Done())
	factory.WaitForCacheSync(ctx.Done())
	for range 8 {
		go k.work(ctx)
	}
	<-ctx.Done()
	k.queue.ShutDown()
	return nil
}

func nodeName(number int) string { return fmt.Sprintf("node-%d", number) }

func register(ctx context.Context, client kubernetes.Interface, name string) error {
	node := &corev1.Node{ObjectMeta: metav1.ObjectMeta{Name: name}}
	if _, err := client.CoreV1().Nodes().Create(ctx, node, metav1.CreateOptions{}); err != nil {
		return err
	}
	node, err := client.CoreV1().Nodes().Get(ctx, name, metav1.GetOptions{})
	if err != nil {
		return err
	}
	node.Status.Conditions = []corev1.NodeCondition{{
		Type: corev1.NodeReady, Status: corev1.ConditionTrue, Reason: "Pretended",
		LastHeartbeatTime: metav1.Now(), LastTransitionTime: metav1.Now(),
	}}
	_, err = client.CoreV1().Nodes().UpdateStatus(ctx, node, metav1.UpdateOptions{})
	return err
}

func (k *kubelets) work(ctx context.Context) {
	for {
		key, closed := k.queue.Get()
		if closed {
			return
		}
		again, err := k.sync(ctx, key)
		switch {
		case err != nil:
			k.queue.AddRateLimited(key)
		case again > 0:
			k.queue.Forget(key)
			k.queue.AddAfter(key, again)
		default:
			k.queue.Forget(key)
		}
		k.queue.Done(key)
	}
}

// sync brings one pod a step further and says when to look at it again.
func (k *kubelets) sync(ctx context.Context, key string) (time.Duration, error) {
	object, exists, err := k.pods.GetIndexer().GetByKey(key)
	if err != nil || !exists {
		return 0, err
	}
	pod := object.(*corev1.Pod).DeepCopy()
	pods := k.client.CoreV1().Pods(pod.Namespace)
	_, unschedulable := pod.Annotations[unschedulableKey]
	switch {
	case pod.DeletionTimestamp != nil:
		now := int64(0)
		return 0, pods.Delete(ctx, pod.Name, metav1.DeleteOptions{GracePeriodSeconds: &now})
	case pod.Spec.NodeName == "" && unschedulable:
		changed := setCondition(pod, corev1.PodScheduled, false, corev1.PodReasonUnschedulable)
		return 0, k.write(ctx, pod, changed)
	case pod.Spec.NodeName == "":
		hash := fnv.New32a()
		_, _ = hash.Write([]byte(key))
		target := corev1.ObjectReference{Kind: "Node", Name: nodeName(int(hash.Sum32()) % k.nodes)}
		meta := metav1.ObjectMeta{Name: pod.Name, Namespace: pod.Namespace, UID: pod.UID}
		return 0, pods.Bind(ctx, &corev1.Binding{ObjectMeta: meta, Target: target}, metav1.CreateOptions{})
	}
	wait := k.untilReady(pod)
	_, unready := pod.Annotations[unreadyKey]
	changed := pod.Status.Phase != corev1.PodRunning
	pod.Status.Phase = corev1.PodRunning
	if pod.Status.StartTime == nil {
		now := metav1.Now()
		pod.Status.StartTime = &now
	}
	changed = setCondition(pod, corev1.PodScheduled, true, "") || changed
	changed = setCondition(pod, corev1.PodReady, wait <= 0 && !unready, "Pretended") || changed
	return wait, k.write(ctx, pod, changed)
}

// untilReady is the time that a pod still takes to become Ready.
func (k *kubelets) untilReady(pod *corev1.Pod) time.Duration {
	after := k.readyAfter
	if asked, err := time.ParseDuration(pod.Annotations[readyAfterKey]); err == nil {
		after = asked
	}
	// Creation is known to the second; the condition knows better once it is there.
	since := pod.CreationTimestamp.Time
	return time.Until(since.Add(after))
}

func (k *kubelets) write(ctx context.Context, pod *corev1.Pod, changed bool) error {
	if !changed {
		return nil
	}
	_, err := k.client.CoreV1().Pods(pod.Namespace).UpdateStatus(ctx, pod, metav1.UpdateOptions{})
	return err
}

// setCondition says whether anything changed.
func setCondition(pod *corev1.Pod, kind corev1.PodConditionType, holds bool, reason string) bool {
	status := corev1.ConditionFalse
	if holds {
		status = corev1.ConditionTrue
	}
	for i := range pod.Status.Conditions {
		if condition := &pod.Status.Conditions[i]; condition.Type == kind {
			if condition.Status == status {
				return false
			}
			condition.Status, condition.Reason = status, reason
			condition.LastTransitionTime = metav1.Now()
			return true
		}
	}
	pod.Status.Conditions = append(pod.Status.Conditions, corev1.PodCondition{
		Type: kind, Status: status, Reason: reason, LastTransitionTime: metav1.Now(),
	})
	return true
}
