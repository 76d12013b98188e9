/**
 * The DNS name in a control plane's certificate, as Istio's agents want it. Every workload has a
 * certificate of the same root: without a look at the name each of them could pass for the control plane.
 */
export const CONTROL_PLANE_NAME = 'istiod.istio-system.svc'
