import '../style/base.css';
import './advisor.css';
import { byId, fill, h } from '../dom';

fill(byId('main'), h('h1', {}, 'advisor'));
