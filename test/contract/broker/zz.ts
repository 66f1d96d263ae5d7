import { ServiceBusClient } from '@azure/service-bus';
import { spawnBroker, queue, tempFolder, depthOf, plainAdmin, until, topic, subscription } from './stage.ts';
import { rmSync } from 'node:fs';
const dir=await tempFolder(); const ents=[queue('q',{duplicateDetectionMs:120000,maxDeliveryCount:1000,lockDurationMs:3000}),topic('t'),subscription('t','l',{forwardTo:'q'})];
let b=await spawnBroker(dir,ents); const port=b.port;
const mk=()=>new ServiceBusClient(b.connectionString,{retryOptions:{timeoutInMs:2000,retryDelayInMs:100,maxRetries:3}});
const c1=mk(),c2=mk(); const acked=new Set<string>(); const done:string[]=[]; const doubt=new Set<string>(); let stop=false, n=0;
const senders=Array.from({length:8},async(_,w)=>{const s=c1.createSender(w%2?'q':'t');while(!stop){const id='m'+n++;for(;;){try{await s.sendMessages({messageId:id,body:id});acked.add(id);break}catch{ await new Promise(r=>setTimeout(r,50))}}}});
const r=c2.createReceiver('q');
const sub=r.subscribe({async processMessage(m){try{await r.completeMessage(m);done.push(String(m.messageId))}catch(e){doubt.add(String(m.messageId))}},async processError(){}},{maxConcurrentCalls:16,autoCompleteMessages:false});
for(let k=0;k<8;k++){await new Promise(r=>setTimeout(r,1200+Math.random()*800));await b.process.kill('SIGKILL');b=await spawnBroker(dir,ents,port);}
stop=true; await Promise.all(senders);
await until(async()=>{const d=await depthOf(plainAdmin(b.connectionString),'q');return d.active===0},40000).catch(e=>console.log('not empty',e));
const set=new Set(done); const missing=[...acked].filter(x=>!set.has(x)&&!doubt.has(x));
console.log({acked:acked.size,completed:done.length,dups:done.length-set.size,doubt:doubt.size,missing:missing.length,depth:await depthOf(plainAdmin(b.connectionString),'q')});
await sub.close(); await c1.close(); await c2.close(); await b.process.kill('SIGTERM'); rmSync(dir,{recursive:true});
